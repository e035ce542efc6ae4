import { execFile } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { LifecycleSummary } from '../examples/10-lifecycle/summary.ts';
import type { BenchContext } from './benchmark.ts';
import type { FirstAlarms } from './weekly-replay.ts';

const run = promisify(execFile);
const main = fileURLToPath(new URL('../examples/10-lifecycle/main.ts', import.meta.url));

/** The first alarm of each rule in the lifecycle example, run as a whole, for seeds 1 to `count`. */
export async function lifecycleAlarms(
  context: BenchContext,
  labels: 'stable' | 'worsening',
  count: number,
): Promise<FirstAlarms[]> {
  const found: FirstAlarms[] = [];
  for (let seed = 1; seed <= count; seed += 1) {
    context.tell(`lifecycle: ${labels} labels, seed ${seed} of ${count}`);
    const dir = join(context.dir, `${labels}-${seed}`);
    const options = ['--json', `--dir=${dir}`, `--labels=${labels}`, `--seed=${seed}`];
    const { stdout } = await run(
      process.execPath,
      ['--conditions=keelson:source', '--disable-warning=ExperimentalWarning', main, ...options],
      { maxBuffer: 64 * 1024 * 1024 },
    );
    const line = stdout.split('\n').find((each) => each.startsWith('{'));
    if (line === undefined) throw new Error(`Seed ${seed} printed no summary: ${stdout}`);
    const { alerts } = JSON.parse(line) as LifecycleSummary;
    // Later alerts are of other references: of each rule the first stays.
    found.push(new Map(alerts.toReversed().map(({ rule, at }) => [rule, at])));
    await rm(dir, { recursive: true, force: true });
  }
  return found;
}
