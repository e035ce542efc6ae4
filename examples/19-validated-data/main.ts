/**
 * Four years of Seattle's weather, each validated against the first: rows by a JSON Schema, columns by bounds, and drift by
 * tests. The second pipeline gets a year with a broken sensor, and fails with a report that is kept.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { dataValidationStep, definePipeline, openPlatform } from '@keelson/core';
import { classes, type Day, loadWeather } from '../weather/weather-data.ts';

const { days } = loadWeather();
const daysOf = (year: number): readonly Day[] => days.filter((day) => day.year === year);

const temperature = { type: 'number', minimum: -30, maximum: 50 } as const;
const schema = {
  type: 'object',
  properties: {
    date: { type: 'string', pattern: '^\\d{4}-\\d{2}-\\d{2}$' },
    tempMax: temperature,
    tempMin: temperature,
    precipitation: { type: 'number', minimum: 0 },
    wind: { type: 'number', minimum: 0 },
    weather: { enum: [...classes] },
  },
  required: ['date', 'tempMax', 'tempMin', 'weather'],
};
const check = dataValidationStep({
  schema,
  rules: {
    rows: { min: 360, max: 366 },
    columns: { tempMax: { missing: { max: 0.01 }, mean: { min: 12, max: 20 } } },
  },
  baseline: daysOf(2012),
  // Years differ a little; how observers named the weather differs more.
  drift: { except: ['date', 'year', 'weather'], severity: 'MEDIUM' },
});

const dir = join(await mkdtemp(join(tmpdir(), 'keelson-validated-')), '.keelson');
const platform = await openPlatform({ dir });
const { pipelines } = platform;

const parameters = {
  type: 'object',
  properties: { year: { type: 'number', default: 2013 } },
} as const;
const validate = definePipeline('validate', { version: '1.0.0', parameters }, (p) => {
  const rows = p.step('load', {}, ({ parameters: { year } }) => daysOf(year));
  return p.step('validate', { data: rows }, check);
});
for (const year of [2013, 2014, 2015]) {
  const { status, output, failure } = await pipelines.wait(
    await pipelines.start(validate, { year }),
  );
  console.log(`${year}: ${status}, ${output?.rows ?? 0} rows ${failure?.['message'] ?? ''}`);
}

const broken = definePipeline('broken-sensor', { version: '1.0.0' }, (p) => {
  const rows = p.step('load', {}, ({ outputs }) => {
    // In Fahrenheit from June on, and silent for a while.
    const lines = daysOf(2015).map((day, i) => {
      const tempMax = i < 151 ? day.tempMax : (day.tempMax * 9) / 5 + 32;
      const wind = i > 300 ? '' : day.wind;
      return `${day.date},${tempMax.toFixed(1)},${day.tempMin},${day.precipitation},${wind},${day.weather}`;
    });
    const head = 'date,tempMax,tempMin,precipitation,wind,weather';
    return outputs.artifact('days.csv', Buffer.from([head, ...lines].join('\r\n')));
  });
  return p.step('validate', { data: rows }, check);
});
const failed = await pipelines.wait(await pipelines.start(broken));
console.log(`broken sensor: ${failed.status}\n  ${failed.failure?.['message']}`);

const kept = await pipelines.artifacts(failed.id, 'validate');
console.log(`kept: ${Object.keys(kept).join(', ')}`);
const page = kept['failed/a1/data-report.html'];
if (page === undefined) throw new Error('The report was not kept.');
const [path = join(tmpdir(), 'keelson-data-report.html')] = process.argv.slice(2);
await writeFile(path, await page.bytes());
console.log(`the report: ${path}`);

await platform.close();
await rm(join(dir, '..'), { recursive: true });
