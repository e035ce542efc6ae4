import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve as serveHono } from '@hono/node-server';
import type { Serving } from '@keelson/serve';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';

/** A service of one's own, in which models are served as well. */
export interface Mounted {
  readonly url: string;
  close(): Promise<void>;
}

/** In Fastify: serving gets what Fastify has not read. Its content types, limits and compression are serving's own. */
export async function mountInFastify(serving: Serving): Promise<Mounted> {
  const app = fastify();
  app.get('/hello', () => ({ hello: 'fastify' }));
  await app.register(async (models) => {
    models.removeAllContentTypeParsers();
    models.addContentTypeParser('*', (_request, _payload, done) => done(null));
    for (const path of ['/v2', '/v2/*', '/v1/*', '/metrics', '/openapi.json']) {
      models.all(path, (request, reply) => {
        reply.hijack();
        serving.listener(request.raw, reply.raw);
      });
    }
  });
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  return { url, close: () => app.close() };
}

/**
 * In Express, before any parser of bodies. `app.use('/ml', serving.listener)` would serve below a prefix; without
 * one, `app.use('/v2', …)` would cut the path that serving needs.
 */
export async function mountInExpress(serving: Serving): Promise<Mounted> {
  const app = express();
  app.use((request, response, next) => {
    if (/^\/(v1|v2|metrics|openapi\.json)(\/|$)/.test(request.path))
      serving.listener(request, response);
    else next();
  });
  app.use(express.json());
  app.get('/hello', (_request, response) => {
    response.json({ hello: 'express' });
  });
  return listen(createServer(app));
}

/** In Hono, and in whatever else speaks `Request` and `Response`: `serving.fetch`. */
export async function mountInHono(serving: Serving): Promise<Mounted> {
  const app = new Hono();
  app.get('/hello', (context) => context.json({ hello: 'hono' }));
  for (const path of ['/v2/*', '/v1/*', '/metrics', '/openapi.json'])
    app.all(path, (context) => serving.fetch(context.req.raw));
  const server = serveHono({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }) as Server;
  await once(server, 'listening');
  return mounted(server);
}

/** What a file `route.ts` of Next.js exports, by method. */
export type RouteHandlers = Readonly<
  Record<string, (request: Request, context: { params: Promise<object> }) => Promise<Response>>
>;

/** A route file of Next.js, called as Next calls it: by method, with the rest of the path, below `/api`. */
export async function mountNextRoute(handlers: RouteHandlers): Promise<Mounted> {
  const fetch = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    if (pathname === '/hello') return Response.json({ hello: 'next' });
    const path = pathname.split('/').slice(2);
    const handler = handlers[request.method];
    // Next itself refuses methods that a route does not export.
    if (handler === undefined) return new Response(null, { status: 405 });
    return handler(request, { params: Promise.resolve({ path }) });
  };
  const server = serveHono({ fetch, port: 0, hostname: '127.0.0.1' }) as Server;
  await once(server, 'listening');
  return mounted(server);
}

async function listen(server: Server): Promise<Mounted> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return mounted(server);
}

function mounted(server: Server): Mounted {
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      const closed = once(server, 'close');
      server.close();
      server.closeIdleConnections();
      await closed;
    },
  };
}
