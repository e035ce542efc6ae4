import type { KnownRow } from '@keelson/core';
import { type LabelMode, labelledDays } from '../examples/10-lifecycle/labels.ts';
import { replayEnds, rules } from '../examples/10-lifecycle/lifecycle.ts';
import { crossValidate, drawFolds, grow } from '../examples/10-lifecycle/train-pipeline.ts';
import { predictClass } from '../examples/weather/forest.ts';
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

/**
 * What the lifecycle example's monitor would say with labels of a mode and seed, its HTTP and its stores left
 * out: trains on 2012, takes the cross-validated answers as the reference, and judges the rules after each week
 * of 2013–2015. Nothing follows from an alarm.
 */
export function replayWeeks(labels: LabelMode, seed: number): FirstAlarms {
  const days = labelledDays(labels, seed);
  const { reference, watched } = answers(days, seed);
  let states = rules.map((rule) => beginRule(rule, countForRule(rule, reference)));
  const alarms = new Map<string, number>();
  for (let end = replayBegins + weekMs; end <= replayEnds; end += weekMs) {
    const week = watched.filter(({ knownAt }) => knownAt > end - weekMs && knownAt <= end);
    const rows = week.map(({ row }) => row);
    states = states.map((state, i) => {
      const rule = rules[i] as (typeof rules)[number];
      const next = updateRule(rule, state, countForRule(rule, rows));
      if (!alarms.has(rule.name) && judgeRule(rule, next).changed) alarms.set(rule.name, end);
      return next;
    });
  }
  return alarms;
}

interface Answers {
  /** 2012, each day answered by a forest that has not seen it. */
  readonly reference: readonly KnownRow[];
  /** The days after it, answered by the forest of 2012, and when their labels came. */
  readonly watched: readonly { readonly row: KnownRow; readonly knownAt: number }[];
}

function answers(days: readonly Day[], seed: number): Answers {
  const trainedOn = days.filter((day) => day.year === 2012);
  const folds = drawFolds(trainedOn.length, seed);
  const judged = crossValidate(trainedOn, folds, 'sound', seed, () => undefined);
  const forest = grow(trainedOn, 'sound', seed);
  return {
    reference: trainedOn.map((day, i) => rowOfDay(day, judged[i] as number)),
    watched: days
      .filter((day) => day.year > 2012)
      .map((day) => ({
        row: rowOfDay(day, predictClass(forest, featuresOf(day))),
        knownAt: Date.parse(day.date) + dayMs / 2 + weekMs,
      })),
  };
}

function rowOfDay(day: Day, predicted: number): KnownRow {
  const values = featuresOf(day);
  return {
    features: Object.fromEntries(featureNames.map((name, i) => [name, values[i] ?? 0])),
    label: day.weather,
    prediction: classes[predicted] ?? '',
  };
}
