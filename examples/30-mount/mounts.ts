import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve as serveHono } from '@hono/node-server';
import type { Platform, Principal } from '@keelson/core';
import { type Auth, createHandler, type Handler } from '@keelson/server';
import express from 'express';
import fastify, { type FastifyRequest } from 'fastify';
import { type Context, Hono } from 'hono';

/** A service of one's own, in which the platform is to be had below `/mlops`. */
export interface Mounted {
  readonly url: string;
  readonly handler: Handler;
  /** As the service ends: streams first, then what is under way, then the port. */
  close(): Promise<void>;
}

/** Who the service says that somebody is: here by a header; it may be a session, or what passport has found. */
const userOf = (header: unknown): string | undefined =>
  typeof header === 'string' ? header : undefined;

const principalOf = (user: string | undefined): Principal | null =>
  user === undefined ? null : { id: `user:${user}`, roles: ['admin'] };

/** In Fastify: a plugin. The service's hooks hold for it, its parsers of bodies and their limits do not. */
export async function mountInFastify(platform: Platform): Promise<Mounted> {
  const app = fastify({ bodyLimit: 1_000 });
  app.decorateRequest('user', undefined);
  app.addHook('onRequest', async (request) => {
    Object.assign(request, { user: userOf(request.headers['x-user']) });
  });
  app.post('/hello', ({ body }) => ({ hello: 'fastify', body }));
  const auth: Auth = ({ raw }) => principalOf((raw as FastifyRequest & { user?: string }).user);
  const handler = createHandler(platform, { auth, logger: app.log });
  await app.register(handler.fastify, { prefix: '/mlops' });
  const url = await app.listen({ port: 0, host: '127.0.0.1' });
  // The plugin ends with its host.
  return { url, handler, close: () => app.close() };
}

/** In Express: before parsers of bodies where files are to be uploaded, since no bytes are left behind them. */
export async function mountInExpress(platform: Platform): Promise<Mounted> {
  const app = express();
  app.use((request, _response, next) => {
    Object.assign(request, { user: userOf(request.headers['x-user']) });
    next();
  });
  const auth: Auth = ({ raw }) => principalOf((raw as IncomingMessage & { user?: string }).user);
  const handler = createHandler(platform, { auth });
  app.use('/mlops', handler.listener);
  app.use(express.json());
  app.post('/hello', ({ body }, response) => {
    response.json({ hello: 'express', body });
  });
  // Works behind the parser, too, but for uploads.
  app.use('/late', handler.listener);
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return mounted(server, handler);
}

/** In Hono: its context is handed on beside the request. */
export async function mountInHono(platform: Platform): Promise<Mounted> {
  type Env = { Variables: { user: string | undefined } };
  const app = new Hono<Env>();
  app.use(async (context, next) => {
    context.set('user', context.req.header('x-user'));
    await next();
  });
  const auth: Auth = ({ context }) => principalOf((context as Context<Env>).get('user'));
  const handler = createHandler(platform, { basePath: '/mlops', auth });
  app.all('/mlops/*', (context) => handler.fetch(context.req.raw, context));
  app.post('/hello', async (context) =>
    context.json({ hello: 'hono', body: await context.req.json() }),
  );
  const server = serveHono({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' }) as Server;
  await once(server, 'listening');
  return mounted(server, handler);
}

/** What a file `route.ts` of Next.js exports, by method. */
export type RouteHandlers = Readonly<
  Record<string, (request: Request, context: { params: Promise<object> }) => Promise<Response>>
>;

/** A route file of Next.js, called as Next calls it: by method, with the rest of the path as `params`. */
export async function mountNextRoute(handlers: RouteHandlers, handler: Handler): Promise<Mounted> {
  const fetch = async (request: Request): Promise<Response> => {
    const { pathname } = new URL(request.url);
    if (pathname === '/hello') {
      return Response.json({ hello: 'next', body: await request.json() });
    }
    const route = handlers[request.method];
    // Next itself refuses methods that a route does not export.
    if (route === undefined) return new Response(null, { status: 405 });
    return route(request, { params: Promise.resolve({ path: pathname.split('/').slice(2) }) });
  };
  const server = serveHono({ fetch, port: 0, hostname: '127.0.0.1' }) as Server;
  await once(server, 'listening');
  return mounted(server, handler);
}

function mounted(server: Server, handler: Handler): Mounted {
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    handler,
    async close() {
      await handler.close({ timeoutMs: 10_000 });
      const closed = once(server, 'close');
      server.close();
      await closed;
    },
  };
}
