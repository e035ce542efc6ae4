import { colorAt, showNumber } from '../../parts/format.ts';
import type { Axis } from './figures.ts';

/** The least and the greatest value of an axis. */
export function rangeOfAxis({ values, words }: Axis): readonly [number, number] {
  if (words !== undefined) return [0, Math.max(1, words.length - 1)];
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    if (value === undefined) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  return low <= high ? [low, high] : [0, 1];
}

/** Where on an axis a value lies, from 0 to 1. */
export function placeOf(axis: Axis, value: number): number {
  const [low, high] = rangeOfAxis(axis);
  return high === low ? 0.5 : (value - low) / (high - low);
}

/** What is written at an axis: its words, or its ends and quarters. */
export function tickText(axis: Axis): readonly (readonly [number, string])[] {
  if (axis.words !== undefined)
    return axis.words
      .slice(0, 12)
      .map((word, i) => [i, word.length > 14 ? `${word.slice(0, 13)}…` : word]);
  const [low, high] = rangeOfAxis(axis);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => low + share * (high - low));
  return [...new Map(ticks.map((value) => [showNumber(value), value]))].map(([text, value]) => [
    value,
    text,
  ]);
}

/** Colours for the values of an axis: apart for words, from dark to bright (viridis) for numbers. */
export function colorScale(axis: Axis): (value: number | undefined) => string {
  if (axis.words !== undefined)
    return (value) => (value === undefined ? 'var(--faint)' : colorAt(value));
  return (value) => (value === undefined ? 'var(--faint)' : viridis(placeOf(axis, value)));
}

const stops = [
  [68, 1, 84],
  [59, 82, 139],
  [33, 145, 140],
  [94, 201, 98],
  [221, 200, 40],
] as const;

/** A colour of the viridis map, its brightest end darkened so that it is seen on white. */
export function viridis(share: number): string {
  const at = Math.min(0.9999, Math.max(0, share)) * (stops.length - 1);
  const i = Math.floor(at);
  const [a, b] = [stops[i] as (typeof stops)[number], stops[i + 1] as (typeof stops)[number]];
  return `rgb(${a.map((from, k) => Math.round(from + (at - i) * ((b[k] as number) - from))).join(' ')})`;
}
