import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform } from '@keelson/core';
import { expect, onTestFinished, test } from 'vitest';
import { ChildProgram } from '../../core/test/child-program.ts';

const program = new URL('children/serve.ts', import.meta.url);

async function post(
  url: string,
  path: string,
  fields: object,
): Promise<{ run?: { info: { run_id: string } } }> {
  const answer = await fetch(`${url}/api/2.0/mlflow/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(fields),
  });
  if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
  return (await answer.json()) as { run?: { info: { run_id: string } } };
}

test('a server that is killed while clients log has lost nothing that it acknowledged', async () => {
  const made = await mkdtemp(join(tmpdir(), 'keelson-test-'));
  onTestFinished(() => rm(made, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  const dir = join(made, '.keelson');
  const server = new ChildProgram(program, [dir]);
  const url = await server.line(/^http/);
  const runId = (await post(url, 'runs/create', { run_name: 'r' })).run?.info.run_id ?? '';
  const acknowledged = { points: 0, params: 0, tags: 0, files: 0 };
  const artifacts = `${url}/api/2.0/mlflow-artifacts/artifacts/0/${runId}/artifacts`;

  /** Goes on until the server is gone. */
  async function client(step: (n: number) => Promise<unknown>, told: () => void): Promise<void> {
    for (let n = 0; ; n += 1) {
      try {
        await step(n);
      } catch {
        return;
      }
      told();
    }
  }
  const batch = (n: number): object[] =>
    Array.from({ length: 20 }, (_, i) => ({ key: 'm', value: n, timestamp: 1, step: n * 20 + i }));
  const clients = [
    client(
      (n) => post(url, 'runs/log-batch', { run_id: runId, metrics: batch(n) }),
      () => (acknowledged.points += 20),
    ),
    client(
      (n) => post(url, 'runs/log-parameter', { run_id: runId, key: `p${n}`, value: 'v' }),
      () => (acknowledged.params += 1),
    ),
    client(
      (n) => post(url, 'runs/set-tag', { run_id: runId, key: 'n', value: String(n) }),
      () => (acknowledged.tags += 1),
    ),
    client(
      async (n) => {
        const put = await fetch(`${artifacts}/${n}.txt`, { method: 'PUT', body: `file ${n}` });
        if (!put.ok) throw new Error(await put.text());
      },
      () => (acknowledged.files += 1),
    ),
  ];
  await expect.poll(() => Object.values(acknowledged).every((count) => count >= 5)).toBe(true);
  await server.kill();
  await Promise.all(clients);

  const platform = await openPlatform({ dir });
  onTestFinished(() => platform.close());
  const { tracking } = platform;
  const run = await tracking.getRun(runId);
  const { steps } = await tracking.getMetricHistory(runId, 'm');
  const kept = new Set(steps);
  expect([...Array(acknowledged.points).keys()].filter((step) => !kept.has(step))).toEqual([]);
  expect(Object.keys(run.params).length).toBeGreaterThanOrEqual(acknowledged.params);
  expect(Number(run.tags['n'])).toBeGreaterThanOrEqual(acknowledged.tags - 1);
  for (let n = 0; n < acknowledged.files; n += 1) {
    const bytes = await tracking.readArtifact(runId, `${n}.txt`);
    expect(Buffer.from(bytes).toString()).toBe(`file ${n}`);
  }
  await platform.close();

  // The client goes on with its run where another server takes over.
  const next = new ChildProgram(program, [dir]);
  const again = await next.line(/^http/);
  await post(again, 'runs/log-metric', { run_id: runId, key: 'after', value: 1, timestamp: 2 });
  await post(again, 'runs/update', { run_id: runId, status: 'FINISHED' });
  const found = await fetch(`${again}/api/2.0/mlflow/runs/get?run_id=${runId}`);
  expect(await found.json()).toMatchObject({ run: { info: { status: 'FINISHED' } } });
});
