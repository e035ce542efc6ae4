/**
 * Two sets of rows compared by one call: no platform, no directory, nothing running. Seattle's weather of 2012 against that
 * of 2015, the months apart, and the page with a plot of each column. `node examples/24-drift-report/main.ts [page.html]`
 */
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { driftReport } from '@keelson/core/monitoring';
import { loadWeather } from '../weather/weather-data.ts';

const { days } = loadWeather();
const daysOf = (year: number) =>
  days
    .filter((day) => day.year === year)
    .map(({ date, year: _, ...day }) => ({
      ...day,
      quarter: `Q${Math.ceil(Number(date.slice(5, 7)) / 3)}`,
    }));

const report = driftReport(daysOf(2012), daysOf(2015), {
  title: 'Seattle: 2015 against 2012',
  target: 'weather',
  segment: 'quarter',
  minimumSegmentRows: 50,
});

console.log(`${report.title}: ${report.detected ? report.severity : 'no drift'}`);
for (const { feature, role, result, adjustedPValue, severity } of report.columns) {
  const p = adjustedPValue === null ? '' : `p ${adjustedPValue.toPrecision(2)}`;
  console.log(
    `  ${feature.padEnd(14)} ${role.padEnd(8)} ${result.method.padEnd(19)} ${result.score?.toFixed(3) ?? '-'}  ${p.padEnd(10)} ${severity}`,
  );
}
for (const { segment, drift } of report.segments) {
  const moved = drift?.features.map(({ feature }) => feature).join(', ');
  console.log(`  in ${String(segment)}: ${moved || 'nothing'}`);
}

const [path = join(tmpdir(), 'keelson-drift-report.html')] = process.argv.slice(2);
await writeFile(path, report.toHtml());
console.log(`the page: ${path}`);
