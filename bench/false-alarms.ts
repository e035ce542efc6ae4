import { clopperPearsonInterval } from '@keelson/core/statistics';
import { worseningBegins } from '../examples/10-lifecycle/labels.ts';
import { replayEnds, rules } from '../examples/10-lifecycle/lifecycle.ts';
import type { BenchContext } from './benchmark.ts';
import { lifecycleAlarms } from './lifecycle-alarms.ts';
import { type Row, rowOf } from './row.ts';
import { type FirstAlarms, replaySeed } from './weekly-replay.ts';

const seeds = { smallest: 1, usual: 50, full: 200 };
const weekMs = 7 * 86_400_000;
/** Of the interval around a share. */
const alpha = 0.05;

/** What was seen of a number of seeds, in each of the two modes. */
interface Alarms {
  /** Of labels in which nothing changes. */
  readonly stable: readonly FirstAlarms[];
  /** Of labels that worsen from `worseningBegins` on. */
  readonly worsening: readonly FirstAlarms[];
  /** The stated chance of a false alarm, in all and of each rule. */
  readonly allowed: ReadonlyMap<string, number>;
}

/**
 * How often monitoring raises an alarm in three years of weekly analyses although nothing changes, beside
 * what its rules promise at the most; and how many weeks after a real worsening it does. Of each rule, and
 * of all together: the first alarm is what counts.
 */
export async function benchFalseAlarms(context: BenchContext): Promise<Row[]> {
  if (context.lifecycle !== undefined) {
    const count = context.lifecycle;
    const stable = await lifecycleAlarms(context, 'stable', count);
    const worsening = await lifecycleAlarms(context, 'worsening', count);
    // An alarm changes what its rules compare with: of each rule alone there is nothing to say.
    return rowsOf({ stable, worsening, allowed: new Map() });
  }
  const count = context.seeds ?? seeds[context.scale];
  const replays = Array.from({ length: count }, (_, i) => {
    context.tell(`false alarms: seed ${i + 1} of ${count}`);
    return replaySeed(i + 1);
  });
  return rowsOf({
    stable: replays.map(({ stable }) => stable),
    worsening: replays.map(({ worsening }) => worsening),
    allowed: new Map(rules.map((rule) => [rule.name, rule.alpha])),
  });
}

function rowsOf({ stable, worsening, allowed }: Alarms): Row[] {
  const anyAllowed = rules.reduce((sum, rule) => sum + rule.alpha, 0);
  const began = Date.parse(worseningBegins);
  return [
    shareRow('seeds with a false alarm', stable.map(firstOfAll), anyAllowed),
    ...[...allowed].map(([rule, share]) =>
      shareRow(
        `  by: ${rule}`,
        stable.map((alarms) => alarms.get(rule)),
        share,
      ),
    ),
    ...delayRows('weeks from a worsening to the alarm', worsening.map(firstOfAll), began),
    ...[...allowed.keys()].flatMap((rule) =>
      delayRows(
        `  by: ${rule}`,
        worsening.map((alarms) => alarms.get(rule)),
        began,
      ),
    ),
  ];
}

function firstOfAll(alarms: FirstAlarms): number | undefined {
  return alarms.size === 0 ? undefined : Math.min(...alarms.values());
}

/** A share of seeds in per cent, with its 95 % Clopper–Pearson interval. */
function shareRow(name: string, alarms: readonly (number | undefined)[], allowed: number): Row {
  const trials = alarms.length;
  const successes = alarms.filter((at) => at !== undefined).length;
  const { low, high } = clopperPearsonInterval({ successes, trials }, alpha);
  const value = (100 * successes) / trials;
  return {
    name: `${name}, of ${trials}`,
    value,
    unit: '%',
    baseline: { name: 'what its rules allow at the most', value: 100 * allowed },
    ratio: value / (100 * allowed),
    spread: [100 * low, 100 * high],
  };
}

/** Delays of the seeds that raised no alarm before; one that never did counts as late as the replay's end. */
function delayRows(name: string, alarms: readonly (number | undefined)[], began: number): Row[] {
  const after = alarms.filter((at) => at === undefined || at > began);
  const found = after.filter((at) => at !== undefined).length;
  if (found === 0) return [];
  const weeks = after.map((at) => ((at ?? replayEnds) - began) / weekMs);
  return [rowOf(`${name} (${found} of ${after.length} found)`, 'weeks', weeks)];
}
