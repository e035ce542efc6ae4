import { writeFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import { type ColumnDrift, driftReport } from '@keelson/core/monitoring';
import { type Command, defineCommand, UsageError } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';
import { readTable } from '../looking/read-table.ts';

/** `keelson drift`. */
export const command: Command = defineCommand({
  description:
    'Compares two files of rows column by column, and how the columns vary together. CSV with a head line, a JSON array, JSON lines, or Parquet (with the package hyparquet beside). Of more than 200,000 rows a random sample is compared. Exit code 3 where something has drifted. Needs no platform.',
  positionals: {
    reference: { summary: 'The data that is as it should be, such as the training data' },
    current: { summary: 'The data that is looked at' },
  },
  options: {
    columns: { type: 'text', placeholder: 'names', summary: 'Only these, with commas between' },
    except: { type: 'text', placeholder: 'names', summary: 'Not these, with commas between' },
    threshold: {
      type: 'text',
      placeholder: 'column=score',
      many: true,
      summary: 'The smallest score of a column that matters; a number alone is for all',
    },
    alpha: { type: 'number', summary: 'The chance of a false alarm', default: 0.05 },
    prediction: { type: 'text', placeholder: 'column', summary: 'What the model answered' },
    target: { type: 'text', placeholder: 'column', summary: 'The truth' },
    segment: { type: 'text', placeholder: 'column', summary: 'Look at each of its values alone' },
    html: { type: 'text', placeholder: 'file', summary: 'Write the report as a page' },
  },
  examples: [
    ['keelson drift train.csv today.csv', 'Has today’s data drifted?'],
    ['keelson drift train.parquet now.ndjson --html drift.html', 'With a page of plots'],
  ],
  async run({ positionals, options, out, cwd, signal }) {
    const [reference, current] = await Promise.all([
      readTable(resolve(cwd, positionals.reference), signal),
      readTable(resolve(cwd, positionals.current), signal),
    ]);
    for (const { path, faults, sampledFrom } of [reference, current]) {
      if (faults > 0) out.note(`${path}: ${faults} rows cannot be read, and are left out.`);
      if (sampledFrom !== undefined) out.note(`${path}: a sample of its ${sampledFrom} rows.`);
    }
    const names = new Set([reference, current].flatMap(({ columns }) => columns));
    const thresholds = thresholdsOf(options.threshold, [...names]);
    const { alpha, prediction, target, segment } = options;
    const report = driftReport(reference.rows, current.rows, {
      title: `${basename(positionals.current)} beside ${basename(positionals.reference)}`,
      alpha,
      ...(options.columns === undefined ? {} : { columns: listOf(options.columns) }),
      ...(options.except === undefined ? {} : { except: listOf(options.except) }),
      ...(prediction === undefined ? {} : { prediction }),
      ...(target === undefined ? {} : { target }),
      ...(segment === undefined ? {} : { segment }),
      ...(options.threshold.length === 0 ? {} : { effectThresholds: thresholds }),
    });
    out.show(report, (view) => {
      const { rows, columns, schema, setAside, multivariate } = report;
      const said = report.detected ? `DRIFT, severity ${report.severity}` : 'No drift';
      view.text(
        `${view.style(report.detected ? 'red' : 'green', said)}: ${view.figure(rows.reference)} rows before, ${view.figure(rows.current)} now.`,
      );
      view.heading('Columns');
      view.table(
        columns,
        [
          { title: 'COLUMN', value: ({ feature }) => feature },
          { title: 'TYPE', value: ({ type }) => type },
          { title: 'VERDICT', value: verdictOf },
          {
            title: 'SCORE',
            value: ({ result }) => view.figure(result.score ?? undefined),
            align: 'right',
          },
          { title: 'BY', value: ({ result }) => result.method },
          {
            title: 'P',
            value: (each) => view.figure(each.adjustedPValue ?? undefined),
            align: 'right',
          },
        ],
        { empty: 'There is no column that both have.' },
      );
      for (const { column, change } of schema) view.text(`${column} is ${change}.`);
      for (const { column, reason } of setAside) view.text(`${column} is set aside: ${reason}`);
      if (multivariate?.detected) view.text('The columns vary together otherwise than before.');
    });
    if (options.html !== undefined) {
      await writeFile(resolve(cwd, options.html), report.toHtml());
      out.note(`The page is in ${options.html}.`);
    }
    return report.detected ? exitCodes.findings : exitCodes.ok;
  },
});

/** `a, b` as a list. */
function listOf(text: string): readonly string[] {
  return text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

/** `column=score`, or a number for all columns. */
function thresholdsOf(
  texts: readonly string[],
  columns: readonly string[],
): Readonly<Record<string, number>> {
  const found: [string, number][] = [];
  for (const text of texts) {
    const at = text.lastIndexOf('=');
    const score = Number(text.slice(at + 1));
    if (text.slice(at + 1).trim() === '' || !(score > 0)) {
      throw new UsageError(`--threshold takes a score above 0, or column=score, not ${text}.`);
    }
    const named = at < 0 ? columns : [text.slice(0, at)];
    for (const name of named) found.push([name, score]);
  }
  return Object.fromEntries(found);
}

function verdictOf({ detected, severity, result, shares }: ColumnDrift): string {
  if (detected) return `drift, ${severity}`;
  const share = shares.find((each) => each.detected);
  if (share !== undefined) return `more or fewer ${share.of}`;
  return result.outcome === 'measured' ? 'none' : 'too few rows';
}
