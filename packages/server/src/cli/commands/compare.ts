import type { Run } from '@keelson/core';
import { type Command, defineCommand, UsageError } from '../command.ts';
import { findRun, findVersion, shortId } from '../looking/find-by-id.ts';
import type { View } from '../output.ts';
import type { Column } from '../table.ts';

/** `keelson compare`. */
export const command: Command = defineCommand({
  positionals: { of: { summary: 'Runs (ids, names), or versions such as fraud@1', many: true } },
  options: {
    all: { type: 'flag', summary: 'Also what differs of the environment and tags' },
    html: { type: 'text', placeholder: 'file', summary: 'Write the comparison as a page, too' },
  },
  examples: [
    ['keelson compare 3f9a21c0 77b0e1d2', 'Two runs: metrics, params that differ'],
    ['keelson compare fraud@champion fraud@latest', 'Two versions'],
  ],
  async run({ positionals, options, out, platform, cwd, signal }) {
    const given = positionals.of;
    if (given.length < 2) throw new UsageError('Give two or more to compare.');
    const opened = await platform();
    const ofVersions = given.filter((each) => each.includes('@')).length;
    if (ofVersions !== 0 && ofVersions !== given.length) {
      throw new UsageError('Give runs or versions, not both: versions have an @ in them.');
    }
    if (ofVersions > 0) {
      const versions = await Promise.all(given.map((each) => findVersion(opened, each)));
      const ids = versions.map(({ id }) => id);
      const compared = await opened.registry.compare(ids);
      const names = versions.map(({ model, version }) => `${model}@${version}`);
      out.show(compared, (view) => {
        table(
          view,
          'Metrics',
          compared.metrics,
          names,
          ({ name }) => name,
          (each, i) => {
            const value = view.figure(each.values[i]);
            return each.best.includes(ids[i] ?? '') ? `${value} *` : value;
          },
        );
        const facts = ['stage', 'format'] as const;
        table(
          view,
          'Versions',
          facts,
          names,
          (name) => name,
          (name, i) => String(compared.versions[i]?.[name] ?? ''),
        );
        differences(view, 'Params', compared.params, names);
        differences(view, 'Lineage', compared.lineage, names);
        if (options.all) differences(view, 'Environment', compared.environment, names);
        if (options.all) differences(view, 'Tags', compared.tags, names);
        if (compared.metrics.length > 0) view.text('* the best of them');
      });
      if (options.html !== undefined) {
        await writePage(options.html, cwd, await opened.registry.comparisonPage(ids, 'html'), out);
      }
      return;
    }
    const runs: Run[] = [];
    for (const each of given) runs.push(await findRun(opened, each));
    const ids = runs.map(({ id }) => id);
    const compared = await opened.tracking.compareRuns(ids, { signal });
    const names = runs.map(({ id, name }, i) =>
      runs.some((other, j) => i !== j && other.name === name) ? shortId(id) : name,
    );
    out.show(compared, (view) => {
      const metrics = compared.metrics.filter(({ name }) => !name.startsWith('system/'));
      table(
        view,
        'Metrics',
        metrics,
        names,
        ({ name }) => name,
        (each, i) => {
          const value = view.figure(each.figures[i]?.final);
          return each.bestRuns.includes(ids[i] ?? '') ? `${value} *` : value;
        },
      );
      if (metrics.length > 0) view.text('* has the best value of them, at some step');
      differences(view, 'Params', compared.params, names);
      if (options.all) differences(view, 'Environment', compared.environment, names);
      if (options.all) differences(view, 'Tags', compared.tags, names);
      view.text(`The same in all: ${compared.same.params} params, ${compared.same.tags} tags.`);
    });
    if (options.html !== undefined) {
      await writePage(options.html, cwd, await opened.tracking.comparisonPage(ids), out);
    }
  },
});

function differences(
  view: View,
  title: string,
  rows: readonly { readonly key: string; readonly values: readonly unknown[] }[],
  names: readonly string[],
): void {
  table(
    view,
    title,
    rows,
    names,
    ({ key }) => key,
    ({ values }, i) => {
      const value = values[i];
      if (value === undefined) return '–';
      return typeof value === 'string' ? value : JSON.stringify(value);
    },
  );
}

function table<Row>(
  view: View,
  title: string,
  rows: readonly Row[],
  names: readonly string[],
  label: (row: Row) => string,
  cell: (row: Row, index: number) => string,
): void {
  if (rows.length === 0) return;
  view.heading(title);
  view.table(rows, [
    { title: '', value: label },
    ...names.map(
      (name, i): Column<Row> => ({ title: name, value: (row) => cell(row, i), align: 'right' }),
    ),
  ]);
}

async function writePage(
  file: string,
  cwd: string,
  page: string,
  out: { note(text: string): void },
): Promise<void> {
  const { writeFile } = await import('node:fs/promises');
  const { resolve } = await import('node:path');
  await writeFile(resolve(cwd, file), page);
  out.note(`The page is in ${file}.`);
}
