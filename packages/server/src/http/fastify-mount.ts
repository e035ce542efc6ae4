import type { IncomingMessage, ServerResponse } from 'node:http';
import type { NodeListener } from './node-face.ts';

/** What of Fastify's instance a mount uses. */
export interface FastifyScope {
  readonly prefix: string;
  removeAllContentTypeParsers(): void;
  addContentTypeParser(
    type: string,
    parser: (request: unknown, payload: unknown, done: (error: null) => void) => void,
  ): unknown;
  all(
    path: string,
    handler: (
      request: { readonly raw: IncomingMessage },
      reply: { readonly raw: ServerResponse; hijack(): unknown },
    ) => void,
  ): unknown;
  addHook(name: 'preClose', hook: () => Promise<void>): unknown;
}

/** A plugin of Fastify: `app.register(handler.fastify, { prefix: '/mlops' })`. */
export type FastifyMount = (scope: FastifyScope) => Promise<void>;

/**
 * Answers what lies below the prefix that the plugin is registered with: its bodies are read by nobody else, so that
 * Fastify's parsers and limits do not hold for them, its hooks do. Streams end before Fastify closes.
 */
export function fastifyMount(
  listenerAt: (basePath: string) => NodeListener,
  close: () => Promise<void>,
): FastifyMount {
  return async (scope) => {
    const listener = listenerAt(scope.prefix);
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
    for (const path of ['/', '/*']) {
      scope.all(path, (request, reply) => {
        reply.hijack();
        listener(request.raw, reply.raw, request);
      });
    }
    scope.addHook('preClose', close);
  };
}
