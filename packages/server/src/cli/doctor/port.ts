import { createServer } from 'node:net';
import type { KeelsonConfig } from '../../config/keelson-config.ts';
import type { Finding } from './examine.ts';

const askMs = 1000;

/** Whether `keelson serve` could listen, or does. */
export async function lookAtPort({ host, port }: KeelsonConfig['server']): Promise<Finding> {
  const check = 'port';
  if (port === 0) return { check, status: 'ok', message: 'a free one is taken' };
  const fault = await tryListen(host, port);
  if (fault === undefined) return { check, status: 'ok', message: `${host}:${port} is free` };
  if (fault.code === 'EADDRINUSE') {
    if (await isServer(host, port)) {
      return { check, status: 'ok', message: `a server answers on ${host}:${port}` };
    }
    return {
      check,
      status: 'warning',
      message: `${host}:${port} is taken by another program`,
      remedy: 'keelson serve --port 0 takes a free one; server.port sets another.',
    };
  }
  return {
    check,
    status: 'warning',
    message: `${host}:${port} cannot be listened on: ${fault.message}`,
    remedy:
      port < 1024 ? 'Take a port from 1024.' : 'Set server.host to an address of this machine.',
  };
}

async function tryListen(host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  const server = createServer();
  const fault = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
    server.once('error', resolve);
    server.listen(port, host, () => resolve(undefined));
  });
  if (fault === undefined) await new Promise((resolve) => server.close(resolve));
  return fault;
}

async function isServer(host: string, port: number): Promise<boolean> {
  const name = host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host;
  const address = `http://${name.includes(':') ? `[${name}]` : name}:${port}/health/live`;
  try {
    const answer = await fetch(address, { signal: AbortSignal.timeout(askMs) });
    return answer.ok;
  } catch {
    // Whatever listens there, it is none of ours.
    return false;
  }
}
