export type { Auth } from './access/callers.ts';
export type { Rate, RateLimitOptions } from './access/rate-limit.ts';
export type { Webhook } from './access/webhooks.ts';
export {
  type CallOptions,
  type Client,
  type ClientOptions,
  createClient,
} from './client/client.ts';
export type { EffectiveConfig } from './config/effective-config.ts';
export {
  type ConfigInput,
  defineConfig,
  type KeelsonConfig,
  type LogLevel,
} from './config/keelson-config.ts';
export { type LoadConfigOptions, loadConfig } from './config/load-config.ts';
export { platformOptions } from './config/open-configured.ts';
export { createHandler, type Handler, type HandlerOptions } from './handler.ts';
export type {
  ClientCertificate,
  RequestHeaders,
  ServerAnswer,
  ServerHandle,
  ServerRequest,
} from './http/exchange.ts';
export type { FastifyMount, FastifyScope } from './http/fastify-mount.ts';
export type { BehindProxy, ProxyOptions } from './http/forwarded.ts';
export type { NodeListener } from './http/node-face.ts';
export type { TlsOptions } from './http/secure-server.ts';
export type { WebHandler } from './http/web-face.ts';
export {
  importMlflow,
  type MlflowImportOptions,
  type MlflowImportProgress,
  type MlflowImportReport,
} from './import-mlflow/import-mlflow.ts';
export type { ImportCounts, ImportSkip } from './import-mlflow/import-notes.ts';
export type { MountedServing } from './serving/mounted-serving.ts';
export { type RunningServer, type ServerOptions, startServer } from './start-server.ts';
