import { createServer, type RequestListener, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { ServerAnswer, ServerHandle, ServerRequest } from './exchange.ts';
import { type BehindProxy, believeProxies } from './forwarded.ts';
import { nodeListener } from './node-face.ts';
import { webHandler } from './web-face.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function listen(listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const text = (body: ServerAnswer['body'], status = 200): ServerAnswer => ({
  status,
  headers: { 'content-type': 'text/plain' },
  body,
});

/** Says what it was asked. */
const echo: ServerHandle = async ({ method, url, basePath, body, headers }) => {
  const chunks = await Array.fromAsync(body);
  const sent = Buffer.concat(chunks).toString('utf8');
  return text(
    JSON.stringify({ method, url, basePath, sent, type: headers['content-type'] ?? null }),
  );
};

/** Both faces, asked in the same way. */
const faces = {
  node: async (handle: ServerHandle, basePath = '') => {
    const origin = await listen(nodeListener(handle, { basePath }));
    return (path: string, init?: RequestInit) => fetch(origin + path, init);
  },
  web: async (handle: ServerHandle, basePath = '') => {
    const face = webHandler(handle, { basePath });
    return (path: string, init?: RequestInit) =>
      face(new Request(`http://keelson.test${path}`, { ...init, duplex: 'half' } as RequestInit));
  },
};

describe.each(Object.entries(faces))('the %s face', (_, open) => {
  test('hands on method, path, query, headers and body', async () => {
    const ask = await open(echo);
    const headers = { 'content-type': 'application/json' };
    const answer = await ask('/a%2Fb?x=1&x=2', { method: 'DELETE', headers, body: '{"größe":1}' });
    expect(await answer.json()).toEqual({
      ...{ method: 'DELETE', url: '/a%2Fb?x=1&x=2', sent: '{"größe":1}' },
      type: 'application/json',
    });
  });

  test('takes its base path away, and only that', async () => {
    const ask = await open(echo, '/mlops');
    const url = async (path: string) => ((await (await ask(path)).json()) as { url: string }).url;
    expect(await url('/mlops/runs?a=1')).toBe('/runs?a=1');
    expect(await url('/mlops')).toBe('/');
    expect(await url('/mlops?a=1')).toBe('/?a=1');
    expect(await url('/mlopsy/runs')).toBe('/mlopsy/runs');
  });

  test('streams an answer, and a body, piece by piece', async () => {
    const piece = new Uint8Array(2 ** 20).fill(7);
    let read = 0;
    const ask = await open(async ({ body }) => {
      for await (const chunk of body) read += chunk.byteLength;
      return text(pieces());
    });
    async function* pieces() {
      for (let i = 0; i < 20; i += 1) yield piece;
    }
    const answer = await ask('/', { method: 'PUT', body: new Uint8Array(20 * 2 ** 20) });
    expect((await answer.arrayBuffer()).byteLength).toBe(20 * 2 ** 20);
    expect(read).toBe(20 * 2 ** 20);
  });

  test('answers HEAD with the head alone', async () => {
    const ask = await open(async () => text('abc'));
    const answer = await ask('/', { method: 'HEAD' });
    expect([answer.status, await answer.text()]).toEqual([200, '']);
  });

  test('breaks off where a stream breaks: nobody takes the part for the whole', async () => {
    const ask = await open(async () => text(broken()));
    async function* broken() {
      yield new Uint8Array(10);
      throw new Error('The disk is gone.');
    }
    const whole = ask('/').then((answer) => answer.arrayBuffer());
    await expect(whole).rejects.toThrow();
  });
});

test('lets go of what nobody reads, a file say', async () => {
  for (const open of Object.values(faces)) {
    const released = Promise.withResolvers<void>();
    async function* file() {
      try {
        yield new Uint8Array(1);
      } finally {
        released.resolve();
      }
    }
    const body = new ReadableStream({ pull: () => undefined, cancel: () => released.resolve() });
    const ask = await open(async ({ url }) => text(url === '/stream' ? body : file()));
    await ask('/stream', { method: 'HEAD' });
    await released.promise;
  }
});

describe('the node face', () => {
  test('a head that cannot be written fails its request, not the process', async () => {
    const headers = { 'content-type': 'text/plain\r\nx: y' };
    const origin = await listen(
      nodeListener(async ({ url }) =>
        url === '/bad' ? { status: 200, headers, body: '' } : text('well'),
      ),
    );
    expect((await fetch(`${origin}/bad`)).status).toBe(500);
    expect(await (await fetch(`${origin}/good`)).text()).toBe('well');
  });

  test('goes on with a connection whose body nobody has read', async () => {
    const origin = await listen(nodeListener(async () => text('no', 403)));
    for (const size of [300_000, 300_000, 5_000_000, 30_000_000, 100]) {
      const answer = await fetch(origin, { method: 'POST', body: new Uint8Array(size) });
      expect([answer.status, await answer.text()]).toEqual([403, 'no']);
    }
  });

  test('finds its path where a mount has taken the prefix away, and a body that was parsed before', async () => {
    const listener = nodeListener(echo);
    const origin = await listen((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const body: unknown = JSON.parse(Buffer.concat(chunks).toString('utf8'));
        // As express.json() and app.use('/mlops', …) leave it.
        Object.assign(request, { body, originalUrl: request.url, url: '/runs?a=1' });
        setImmediate(() => listener(request, response));
      });
    });
    const asked = { method: 'POST', body: '{"a": 1}' };
    const answer = await fetch(`${origin}/mlops/runs?a=1`, asked);
    expect(await answer.json()).toMatchObject({
      url: '/runs?a=1',
      basePath: '/mlops',
      sent: '{"a":1}',
    });
    // Of a form nothing is left that could be sent on.
    const headers = { 'content-type': 'application/x-www-form-urlencoded' };
    expect((await fetch(`${origin}/mlops/runs`, { ...asked, headers })).status).toBe(500);
  });

  test('tells the handler that the caller has gone', async () => {
    const gone = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const origin = await listen(
      nodeListener(async ({ signal }) => {
        signal.addEventListener('abort', () => gone.resolve());
        begun.resolve();
        await gone.promise;
        return text('to nobody');
      }),
    );
    const socket = connect(Number(new URL(origin).port), '127.0.0.1');
    socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
    await begun.promise;
    socket.destroy();
    await gone.promise;
  });
});

describe('behind proxies', () => {
  /** What a handler is told of a request that came with these headers. */
  async function told(behind: BehindProxy, headers: ServerRequest['headers'], client = '10.0.0.7') {
    const seen = Promise.withResolvers<ServerRequest>();
    const handle = believeProxies(async (request) => {
      seen.resolve(request);
      return text('');
    }, behind);
    const signal = new AbortController().signal;
    const body = (async function* () {})();
    await handle({ method: 'GET', url: '/', headers, body, signal, client, scheme: 'http' });
    const { client: by, scheme, headers: kept } = await seen.promise;
    return [by, scheme, kept['host']];
  }

  const said = {
    host: 'inner:5000',
    'x-forwarded-for': '6.6.6.6, 192.0.2.1, 198.51.100.2',
    'x-forwarded-host': 'mlops.example',
    'x-forwarded-proto': 'https',
    forwarded: 'for=6.6.6.6, for="[2001:db8::1]:4711";proto=https;host="a.example, b"',
  };

  test('the nth from the end counts, whatever the caller has written before it', async () => {
    expect(await told(true, said)).toEqual(['198.51.100.2', 'https', 'mlops.example']);
    expect(await told({ hops: 2 }, said)).toEqual(['192.0.2.1', 'https', 'mlops.example']);
    expect(await told({ header: 'forwarded' }, said)).toEqual([
      ...['2001:db8::1', 'https', 'a.example, b'],
    ]);
    const lines = { 'x-forwarded-for': ['6.6.6.6', '192.0.2.1:80'] };
    expect((await told(true, lines))[0]).toBe('192.0.2.1');
  });

  test('what says nothing, or is no address, changes nothing', async () => {
    expect(await told({ hops: 9 }, { 'x-forwarded-for': '1.2.3.4' })).toEqual([
      ...['10.0.0.7', 'http', undefined],
    ]);
    const odd = { 'x-forwarded-for': 'unknown', 'x-forwarded-proto': 'gopher' };
    expect(await told(true, odd)).toEqual(['10.0.0.7', 'http', undefined]);
  });

  test('only a proxy of the addresses that are named is believed', async () => {
    const behind = { addresses: ['10.0.0.0/24', '2001:db8::/32'] };
    expect((await told(behind, said, '::ffff:10.0.0.9'))[0]).toBe('198.51.100.2');
    expect((await told(behind, said, '2001:db8::5'))[0]).toBe('198.51.100.2');
    for (const other of ['10.0.1.9', '', 'fe80::1%eth0'])
      expect((await told(behind, said, other))[0]).toBe(other);
    for (const wrong of [{ addresses: ['10.0.0.0/99'] }, { addresses: ['proxy'] }, { hops: 0 }])
      expect(() => believeProxies(echo, wrong)).toThrow(/behindProxy/);
  });
});
