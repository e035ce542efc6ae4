import type { KnownRow, MonitorRule } from '@keelson/core';
import { labelledDays } from '../examples/10-lifecycle/labels.ts';
import { replayEnds, rules } from '../examples/10-lifecycle/lifecycle.ts';
import { crossValidate, drawFolds, grow } from '../examples/10-lifecycle/train-pipeline.ts';
import { type Forest, predictClass } from '../examples/weather/forest.ts';
import { classes, type Day, featureNames, featuresOf } from '../examples/weather/weather-data.ts';
import {
  beginRule,
  countForRule,
  judgeRule,
  updateRule,
} from '../packages/core/src/monitoring/rule.ts';

const dayMs = 86_400_000;
/** How long after its day a label comes, and how often there is an analysis. */
const weekMs = 7 * dayMs;
const replayBegins = Date.parse('2013-01-01');

/** When each rule that ever raised an alarm did so first, epoch ms. */
export type FirstAlarms = ReadonlyMap<string, number>;

/** The model of 2012, and what it is compared with: days of 2012, each answered by a forest that has not seen it. */
interface Trained {
  readonly forest: Forest;
  readonly reference: readonly KnownRow[];
}

/**
 * What the lifecycle example's monitor would say with labels of each mode and one seed, its HTTP and its stores
 * left out: trains on 2012, takes the cross-validated answers as the reference, and judges the rules after
 * each week of 2013–2015. Nothing follows from an alarm.
 */
export function replaySeed(seed: number): Readonly<Record<'stable' | 'worsening', FirstAlarms>> {
  const stable = labelledDays('stable', seed);
  // 2012 is alike in both.
  const trained = train(stable, seed);
  return {
    stable: replayWeeks(trained, stable),
    worsening: replayWeeks(trained, labelledDays('worsening', seed)),
  };
}

function train(days: readonly Day[], seed: number): Trained {
  const known = days.filter((day) => day.year === 2012);
  const folds = drawFolds(known.length, seed);
  const judged = crossValidate(known, folds, 'sound', seed, () => undefined);
  return {
    forest: grow(known, 'sound', seed),
    reference: known.map((day, i) => rowOfDay(day, judged[i] as number)),
  };
}

function replayWeeks({ forest, reference }: Trained, days: readonly Day[]): FirstAlarms {
  const watched = days
    .filter((day) => day.year > 2012)
    .map((day) => ({
      row: rowOfDay(day, predictClass(forest, featuresOf(day))),
      knownAt: Date.parse(day.date) + dayMs / 2 + weekMs,
    }));
  let states = rules.map((rule) => beginRule(rule, countForRule(rule, reference)));
  const alarms = new Map<string, number>();
  for (let end = replayBegins + weekMs; end <= replayEnds; end += weekMs) {
    const week = watched.filter(({ knownAt }) => knownAt > end - weekMs && knownAt <= end);
    const rows = week.map(({ row }) => row);
    states = states.map((state, i) => {
      const rule = rules[i] as MonitorRule;
      const next = updateRule(rule, state, countForRule(rule, rows));
      if (!alarms.has(rule.name) && judgeRule(rule, next).changed) alarms.set(rule.name, end);
      return next;
    });
  }
  return alarms;
}

function rowOfDay(day: Day, predicted: number): KnownRow {
  const values = featuresOf(day);
  return {
    features: Object.fromEntries(featureNames.map((name, i) => [name, values[i] ?? 0])),
    label: day.weather,
    prediction: classes[predicted] ?? '',
  };
}
