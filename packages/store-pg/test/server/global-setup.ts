import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { PgCluster } from './cluster.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** Where to ask for the address of the run's PostgreSQL, which the first who asks starts. */
    readonly keelsonPgSocket: string;
  }
}

/** One cluster for the whole run, started when a test first asks for it, stopped when the run ends. */
export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const directory = mkdtempSync(join(tmpdir(), 'keelson-pg-ask-'));
  const path = join(directory, 'socket');
  let cluster: Promise<PgCluster> | undefined;
  const answer = async (socket: Socket): Promise<void> => {
    socket.on('error', () => undefined);
    cluster ??= PgCluster.start();
    try {
      socket.end(JSON.stringify({ url: (await cluster).url() }));
    } catch (error) {
      socket.end(JSON.stringify({ error: String(error) }));
    }
  };
  const server = createServer((socket) => void answer(socket)).listen(path);
  project.provide('keelsonPgSocket', path);
  return async () => {
    server.close();
    await (await cluster)?.stop();
    rmSync(directory, { recursive: true, force: true });
  };
}
