import {
  type Json,
  KeelsonError,
  type ModelSignature,
  type RuntimeConfig,
  type Tensor,
} from '@keelson/core';
import { syntheticCall } from '../runtimes/warm-up-calls.ts';
import { MlflowProtocol } from './mlflow-protocol.ts';
import { type RemoteAnswer, type RemoteCall, RemoteHttp } from './remote-http.ts';
import { type RemoteOptions, resolveRemoteOptions } from './remote-options.ts';
import type { AskServer, RemoteModel, RemoteProtocol, RemoteRequest } from './remote-protocol.ts';
import { errorOf } from './server-answer.ts';
import { TensorFlowServingProtocol } from './tensorflow-serving-protocol.ts';
import { TorchServeProtocol } from './torchserve-protocol.ts';
import { V2Protocol } from './v2-protocol.ts';

const protocols: Readonly<Record<string, new (model: RemoteModel) => RemoteProtocol>> = {
  v2: V2Protocol,
  'tensorflow-serving': TensorFlowServingProtocol,
  torchserve: TorchServeProtocol,
  mlflow: MlflowProtocol,
};

/** Whether a runtime is a server elsewhere. */
export function isRemoteName(runtime: RuntimeConfig | undefined): boolean {
  return runtime !== undefined && Object.hasOwn(protocols, runtime.name);
}

/** The runtime that runs a version of that format, if that is a server elsewhere. */
export function remoteRuntimeOf(
  runtime: RuntimeConfig | undefined,
  format: string,
): RuntimeConfig | undefined {
  if (runtime === undefined || !isRemoteName(runtime)) return undefined;
  const { formats } = runtime;
  const isRun = formats?.some((name) => name.toUpperCase() === format.toUpperCase()) ?? true;
  return isRun ? runtime : undefined;
}

/** How many clients in this process use a model that they had loaded, by endpoint and name. */
const users = new Map<string, number>();

/** A model on an inference server: its connections and its protocol. */
export class RemoteServer {
  readonly options: RemoteOptions;
  readonly endpoint: string;
  readonly #http: RemoteHttp;
  readonly #management: RemoteHttp | undefined;
  readonly #protocol: RemoteProtocol;
  readonly #signature: ModelSignature;
  readonly #key: string;
  #isUser = false;

  /** INVALID for a configuration that names no server, or options that the runtime does not take. */
  constructor(
    runtime: RuntimeConfig,
    model: { readonly name: string; readonly version: string },
    signature: ModelSignature,
  ) {
    const { endpoint, headers = {}, name } = runtime;
    if (endpoint === undefined) {
      throw new KeelsonError(
        'INVALID',
        `Runtime ${name} needs an endpoint, such as http://127.0.0.1:8080.`,
      );
    }
    const options = resolveRemoteOptions(runtime);
    const version = options.version?.replaceAll('{version}', model.version);
    this.options = { ...options, version };
    const { concurrency: maxConnections, maxAnswerBytes, management } = this.options;
    const limits = { headers, maxConnections, maxAnswerBytes };
    this.#http = new RemoteHttp({ endpoint, ...limits });
    this.#management =
      management === undefined ? undefined : new RemoteHttp({ endpoint: management, ...limits });
    this.endpoint = this.#http.endpoint;
    this.#signature = signature;
    const called = runtime.model?.replaceAll('{version}', model.version) ?? model.name;
    this.#key = `${this.endpoint} ${called} ${version ?? ''}`;
    const Protocol = protocols[name] as new (model: RemoteModel) => RemoteProtocol;
    this.#protocol = new Protocol({ name: called, signature, options: this.options });
  }

  /**
   * Has the model loaded where that is asked for, waits until the server says that it is ready, learns what the server
   * can, and runs it once. Rejects with FAILED or INVALID, naming endpoint and fault, UNAVAILABLE for a server that does not
   * answer.
   */
  async open(timeoutMs: number): Promise<void> {
    const ask = this.#asking(timeoutMs);
    if (this.options.load) {
      this.#isUser = true;
      users.set(this.#key, (users.get(this.#key) ?? 0) + 1);
      await this.#protocol.load(ask);
    }
    const fault = await this.#protocol.readiness(ask);
    if (fault !== undefined) {
      throw new KeelsonError('UNAVAILABLE', `The inference server at ${this.endpoint} ${fault}.`);
    }
    await this.#protocol.learn?.(ask);
    await this.probe(timeoutMs);
  }

  /** One inference. Rejects with the errors of `RemoteHttp.call`, of `errorOf`, and ModelFault for a wrong answer. */
  async infer(request: RemoteRequest, signal?: AbortSignal): Promise<readonly Tensor[]> {
    const { timeoutMs } = request;
    const limits = signal === undefined ? { timeoutMs } : { timeoutMs, signal };
    const answer = await this.#http.call(this.#protocol.encode(request), limits);
    if (answer.status !== 200) throw errorOf(answer, this.endpoint);
    try {
      return this.#protocol.decode(answer, request.rowCount);
    } catch (cause) {
      const said = cause instanceof Error ? cause.message : String(cause);
      const message = `The inference server at ${this.endpoint} answered wrongly: ${said}`;
      throw new KeelsonError('FAILED', message, { cause });
    }
  }

  /** Rejects unless the model answers: a synthetic call, or its readiness, as the options say. */
  async probe(timeoutMs: number): Promise<void> {
    if (this.options.probe === 'health') {
      const fault = await this.readiness(timeoutMs);
      if (fault === undefined) return;
      throw new KeelsonError('UNAVAILABLE', `The inference server at ${this.endpoint} ${fault}.`);
    }
    const { inputs, rows } = syntheticCall(this.#signature, 1);
    const parameters: Readonly<Record<string, Json>> = {};
    await this.infer({ inputs, rowCount: rows, parameters, timeoutMs });
  }

  /** Why the model does not answer; undefined when it does. Rejects as `RemoteHttp.call`. */
  readiness(timeoutMs: number): Promise<string | undefined> {
    return this.#protocol.readiness(this.#asking(timeoutMs));
  }

  /** Unloads the model where that is asked for and nothing here uses it any more; ends its connections. */
  async close(timeoutMs: number): Promise<void> {
    try {
      if (!this.#isUser) return;
      this.#isUser = false;
      const left = (users.get(this.#key) ?? 1) - 1;
      if (left > 0) users.set(this.#key, left);
      else users.delete(this.#key);
      if (left === 0 && this.options.unload) await this.#protocol.unload(this.#asking(timeoutMs));
    } finally {
      this.#http.close();
      this.#management?.close();
    }
  }

  #asking(timeoutMs: number): AskServer {
    return (call: RemoteCall, where?: 'management'): Promise<RemoteAnswer> => {
      const http = where === undefined ? this.#http : this.#management;
      if (http !== undefined) return http.call(call, { timeoutMs });
      const message =
        'To load and unload models, TorchServe needs the option management, the address of its management API.';
      return Promise.reject(new KeelsonError('INVALID', message));
    };
  }
}
