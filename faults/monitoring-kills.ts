import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { seededRandom } from '@keelson/core/statistics';
import { fillMonitoring, type MonitoringPlace, readMonitoring } from './monitoring-world.ts';
import type { FaultContext, FaultReport, FaultScenario } from './scenario.ts';

const child = new URL('./monitoring-child.ts', import.meta.url).pathname;
const extents = { short: { kills: 3 }, long: { kills: 40 } };

/** Alerting and the ageing of predictions, killed at random: both end as in a life that nobody disturbed. */
export const monitoringKills: FaultScenario = {
  name: 'monitoring-kills',
  sentence:
    'Alert rules are evaluated through ten minutes in which one deployment fails, then predictions age by years; killed at random, nothing is told twice or never, and the same is left of the predictions.',
  run,
};

async function run({ store, extent, seed, tell }: FaultContext): Promise<FaultReport> {
  const root = mkdtempSync(join(tmpdir(), 'keelson-monitoring-'));
  const random = seededRandom(String(seed));
  const placeOf = (name: string): MonitoringPlace => ({
    dir: join(root, name),
    ...(store.url === undefined
      ? {}
      : { url: store.url, schema: `monitoring_${name}_${process.pid}` }),
  });
  const [calm, killed] = [placeOf('calm'), placeOf('killed')];
  try {
    tell('a timeline that nobody disturbs');
    await fillMonitoring(calm);
    const { ms } = await live(calm);
    await fillMonitoring(killed);
    let kills = 0;
    for (let isDone = false; !isDone; ) {
      tell(`${kills} kills`);
      const isRandom = kills < extents[extent].kills;
      // So that kills lie all over the timeline: each life gets a small part of it done.
      const afterMs = isRandom ? (random.uniform() * 3 * ms) / extents.long.kills : undefined;
      isDone = (await live(killed, afterMs)).isDone;
      if (!isDone) kills += 1;
    }
    const [expected, found] = [await readMonitoring(calm), await readMonitoring(killed)];
    if (expected.told.length === 0) throw new Error('Nothing was told: there is nothing to lose.');
    if (!isDeepStrictEqual(found, expected)) {
      const text = (what: unknown): string => JSON.stringify(what, null, 1);
      throw new Error(`It ended otherwise: ${text(found)}\nand was to end ${text(expected)}`);
    }
    return { faults: { kill: kills }, invariants: 1 };
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** Runs a child to its end, or kills it some ms after it has begun its work. */
async function live(
  place: MonitoringPlace,
  afterMs?: number,
): Promise<{ readonly isDone: boolean; readonly ms: number }> {
  const program = spawn(
    process.execPath,
    ['--conditions=keelson:source', child, JSON.stringify(place)],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let errors = '';
  let begunAt = performance.now();
  let timer: NodeJS.Timeout | undefined;
  program.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  program.stdout.on('data', () => {
    begunAt = performance.now();
    if (afterMs !== undefined) timer = setTimeout(() => program.kill('SIGKILL'), afterMs);
  });
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) => {
    program.on('close', (...ended) => resolve(ended));
  });
  clearTimeout(timer);
  if (code !== 0 && signal !== 'SIGKILL') throw new Error(`It ended with ${code}: ${errors}`);
  return { isDone: code === 0, ms: performance.now() - begunAt };
}
