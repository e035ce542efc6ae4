/**
 * Measures commits of several processes that saturate one embedded metadata store: commits a second of
 * all, how even their shares are, latencies, and how long event loops were blocked.
 * `node bench/metadata-contention.ts [processes] [seconds]` (8 and 5 when left out).
 */
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { trackingKinds } from '../packages/core/src/contracts/kinds/tracking-kinds.ts';
import { SqliteMetadataStore } from '../packages/core/src/embedded/sqlite-metadata-store.ts';
import { uuidV7 } from '../packages/core/src/uuid.ts';

interface Figures {
  readonly commits: number;
  readonly p50: number;
  readonly p99: number;
  readonly loopP99: number;
  readonly loopMax: number;
}

const [mode = '8', second = '5', third = ''] = process.argv.slice(2);
if (mode === 'child') await commitFor(second, Number(third));
else await measure(Number(mode), Number(second));

async function measure(processes: number, seconds: number): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'keelson-bench-'));
  const path = join(directory, 'keelson.db');
  await (await SqliteMetadataStore.open({ path, kinds: trackingKinds })).close();
  const startAt = String(Date.now() + 4_000);
  const all = await Promise.all(
    Array.from({ length: processes }, async () => {
      const args = [fileURLToPath(import.meta.url), 'child', path, startAt, String(seconds)];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
      return JSON.parse(await text(child.stdout)) as Figures;
    }),
  );
  const of = (figure: keyof Figures): string => {
    const values = all.map((one) => one[figure]).toSorted((a, b) => a - b);
    return `${values[Math.floor(values.length / 2)]} (${values[0]} to ${values.at(-1)})`;
  };
  const total = all.reduce((sum, { commits }) => sum + commits, 0);
  console.log(`${processes} processes: ${Math.round(total / seconds)} commits/s`);
  console.log(`a process: ${of('commits')} commits in ${seconds} s`);
  console.log(`commit: p50 ${of('p50')}, p99 ${of('p99')} ms`);
  console.log(`event loop late: p99 ${of('loopP99')}, most ${of('loopMax')} ms`);
  rmSync(directory, { recursive: true, force: true });
}

async function commitFor(path: string, startAt: number): Promise<void> {
  const seconds = Number(process.argv[5]);
  const store = await SqliteMetadataStore.open({ path, kinds: trackingKinds });
  const id = uuidV7();
  const body = { note: 'x'.repeat(700) };
  const columns = {
    experimentId: 'e',
    name: 'run',
    status: 'running',
    startedAt: 1,
    sourceType: 'local',
    userId: 'bench',
    lifecycle: 'active',
  };
  const commit = { workspace: 'default', principal: 'bench' };
  await store.commit({ ...commit, changes: [{ op: 'create', kind: 'run', id, columns, body }] });
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, startAt - Date.now())));
  const loop = monitorEventLoopDelay({ resolution: 1 });
  loop.enable();
  const times: number[] = [];
  let revision = 1;
  const end = Date.now() + seconds * 1_000;
  while (Date.now() < end) {
    const at = performance.now();
    await store.commit({
      ...commit,
      changes: [{ op: 'replace', kind: 'run', id, expect: revision, body }],
    });
    revision += 1;
    times.push(performance.now() - at);
  }
  loop.disable();
  await store.close();
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number): number => round(sorted[Math.floor(sorted.length * share)] ?? 0);
  const figures: Figures = {
    commits: times.length,
    p50: at(0.5),
    p99: at(0.99),
    loopP99: round(loop.percentile(99) / 1e6),
    loopMax: round(loop.max / 1e6),
  };
  process.stdout.write(JSON.stringify(figures));
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
