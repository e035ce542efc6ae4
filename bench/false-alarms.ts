import { clopperPearsonInterval, median, quantile, sorted } from '@keelson/core/statistics';
import { worseningBegins } from '../examples/10-lifecycle/labels.ts';
import { rules } from '../examples/10-lifecycle/lifecycle.ts';
import type { BenchContext } from './benchmark.ts';
import { lifecycleAlarms } from './lifecycle-alarms.ts';
import type { Row } from './row.ts';
import { type FirstAlarms, replayWeeks } from './weekly-replay.ts';

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
    return rowsOf({ stable, worsening, allowed: new Map() });
  }
  const count = context.seeds ?? seeds[context.scale];
  const replays = (labels: 'stable' | 'worsening'): FirstAlarms[] =>
    Array.from({ length: count }, (_, i) => {
      context.tell(`false alarms: ${labels} labels, seed ${i + 1} of ${count}`);
      return replayWeeks(labels, i + 1);
    });
  const allowed = new Map(rules.map((rule) => [rule.name, rule.alpha]));
  return rowsOf({ stable: replays('stable'), worsening: replays('worsening'), allowed });
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

/** Delays of the seeds that raised no alarm before; those that raised none at all count as the longest. */
function delayRows(name: string, alarms: readonly (number | undefined)[], began: number): Row[] {
  const after = alarms.filter((at) => at === undefined || at > began);
  const found = after.filter((at) => at !== undefined);
  if (found.length === 0) return [];
  const weeks = sorted(after.map((at) => ((at ?? Number.MAX_SAFE_INTEGER) - began) / weekMs));
  const at = (share: number): number => Math.min(quantile(weeks, share), weeksWatched(began));
  const text = `${name} (${found.length} of ${after.length} found)`;
  return [
    {
      name: text,
      value: Math.min(median(weeks), weeksWatched(began)),
      unit: 'weeks',
      spread: [at(0.25), at(0.75)],
    },
  ];
}

/** As long as a delay can be: the alarm did not come while there were labels. */
function weeksWatched(began: number): number {
  return (Date.parse('2016-01-12') - began) / weekMs;
}
