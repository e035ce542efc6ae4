import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import { dirname, join } from 'node:path';

/** One day in Seattle. */
export interface Day {
  /** Such as `2012-01-31`. */
  readonly date: string;
  readonly year: number;
  readonly precipitation: number;
  readonly tempMax: number;
  readonly tempMin: number;
  readonly wind: number;
  readonly weather: Weather;
}

export const classes = ['drizzle', 'fog', 'rain', 'snow', 'sun'] as const;
export type Weather = (typeof classes)[number];

/** What a model sees of a day, in this order. */
export const featureNames = [
  'precipitation',
  'temp_max',
  'temp_min',
  'wind',
  'season_cos',
  'season_sin',
] as const;

/** Seattle's weather 2012–2015 (NOAA, by way of the npm package vega-datasets), and its digest. */
export function loadWeather(): { readonly days: readonly Day[]; readonly sha256: string } {
  // The package's exports leave its data files out, so they are found beside its manifest.
  const manifest = findPackageJSON('vega-datasets', import.meta.url);
  if (manifest === undefined) throw new Error('vega-datasets is not installed; run npm install.');
  const bytes = readFileSync(join(dirname(manifest), 'data', 'seattle-weather.csv'));
  const [, ...lines] = bytes.toString('utf8').trim().split(/\r?\n/);
  return {
    days: lines.map(parseDay),
    sha256: createHash('sha256').update(bytes).digest('hex'),
  };
}

/** The features of a day. `season_cos` and `season_sin` say where in the year it lies. */
export function featuresOf(day: Day): number[] {
  const dayOfYear = (Date.parse(day.date) - Date.parse(`${day.year}-01-01`)) / 86_400_000;
  const angle = (2 * Math.PI * dayOfYear) / 365.25;
  return [day.precipitation, day.tempMax, day.tempMin, day.wind, Math.cos(angle), Math.sin(angle)];
}

/** The class of a day, as a number. */
export function labelOf(day: Day): number {
  return classes.indexOf(day.weather);
}

function parseDay(line: string): Day {
  const [date = '', precipitation, tempMax, tempMin, wind, weather] = line.split(',');
  if (!classes.includes(weather as Weather)) throw new Error(`Unknown weather in line: ${line}`);
  return {
    date: date.slice(0, 10),
    year: Number(date.slice(0, 4)),
    precipitation: Number(precipitation),
    tempMax: Number(tempMax),
    tempMin: Number(tempMin),
    wind: Number(wind),
    weather: weather as Weather,
  };
}
