import { encodeJson, type Json } from '../json.ts';
import type { BaselineChange, Difference } from '../tracking/comparison.ts';
import { formatBytes, formatNumber } from '../tracking/format-figures.ts';
import type { PageBlock, PageDocument } from './page-document.ts';
import type { ComparedFile, VersionComparison } from './version-comparison.ts';

const mostRows = 500;

/** The page of a comparison: what differs, and how much is the same. */
export function versionComparisonDocument(comparison: VersionComparison): PageDocument {
  const { versions, same } = comparison;
  const names = versions.map(({ model, version }) => `${model}@${version}`);
  const baseline = versions.findIndex(({ id }) => id === comparison.baseline);
  const head = ['', ...names.map((name, i) => (i === baseline ? `${name} (baseline)` : name))];
  const table = (rows: readonly (readonly string[])[]): PageBlock => ({
    head,
    rows: rows.slice(0, mostRows),
  });
  const differing = (
    title: string,
    what: string,
    found: readonly Difference<Json>[],
    equal: number,
  ): PageDocument['sections'][number] => ({
    title,
    blocks: [
      table(found.map(({ key, values }) => [clip(key), ...values.map(shown)])),
      ...note(equal === 0 ? '' : `${what} the same in all, not shown: ${equal}.`),
      ...note(found.length > mostRows ? `${found.length - mostRows} more are not shown.` : ''),
    ],
  });
  const changed = comparison.files.filter((file) => !file.same);
  return {
    title: names.join(' · '),
    badges: [],
    intro: [
      table([
        ['stage', ...versions.map(({ stage }) => stage)],
        ['format', ...versions.map(({ format }) => format)],
        ['size', ...versions.map(sizeText)],
        ['content', ...versions.map(({ sha256 }) => sha256.slice(0, 12))],
        ['registered', ...versions.map(({ createdAt }) => new Date(createdAt).toISOString())],
        ['by', ...versions.map(({ createdBy }) => createdBy)],
      ]),
    ],
    sections: [
      { title: 'Metrics', blocks: [table(metricRows(comparison))] },
      { title: 'Signature', blocks: signatureBlocks(comparison, names) },
      differing('Lineage', 'Facts', comparison.lineage, same.lineage),
      differing('Data', 'Datasets', comparison.datasets, same.datasets),
      differing('Params of the source runs', 'Params', comparison.params, same.params),
      differing(
        'Environment of the source runs',
        'Facts',
        comparison.environment,
        same.environment,
      ),
      differing('Tags', 'Tags', comparison.tags, same.tags),
      {
        title: 'Files',
        blocks: [
          table(changed.map(fileRow)),
          ...note(
            same.files === 0 ? '' : `With the same content in all, not shown: ${same.files}.`,
          ),
        ],
      },
    ],
  };
}

function metricRows({ metrics, versions }: VersionComparison): string[][] {
  return metrics.map(({ name, direction, values, best, fromBaseline }) => [
    direction === undefined ? name : `${name} (${direction} is better)`,
    ...values.map((value, i) => {
      if (value === undefined) return '–';
      const star = best.includes(versions[i]?.id ?? '') ? ' ★' : '';
      return `${formatNumber(value)}${changeText(fromBaseline[i])}${star}`;
    }),
  ]);
}

function changeText(change: BaselineChange | undefined): string {
  if (change === undefined || !Number.isFinite(change.difference) || change.difference === 0)
    return '';
  const { difference, share, verdict } = change;
  const sign = difference > 0 ? '+' : '';
  const percent = share === undefined ? '' : `, ${sign}${(100 * share).toFixed(1)} %`;
  return ` (${sign}${formatNumber(difference)}${percent}${verdict === undefined ? '' : `, ${verdict}`})`;
}

function signatureBlocks(
  { signatures }: VersionComparison,
  names: readonly string[],
): readonly PageBlock[] {
  if (signatures.same) return note('The same in all.');
  const lines = signatures.breaks.flatMap((breaks, i) => {
    if (signatures.known[i] === false) return [`${names[i]} has no signature.`];
    return (breaks ?? []).map((each) => `${names[i]}: ${each}`);
  });
  if (lines.length > 0) return [{ list: lines }];
  return note('They differ in nothing that callers of the baseline would notice.');
}

function fileRow({ path, sha256, sizeBytes, change }: ComparedFile): string[] {
  const cells = sha256.map((digest, i) => {
    const how = change[i];
    if (digest === undefined) return how ?? '–';
    const about = `${digest.slice(0, 8)} · ${formatBytes(sizeBytes[i] ?? 0)}`;
    return how === 'same' ? about : `${about} (${how})`;
  });
  return [clip(path), ...cells];
}

function sizeText({ sizeBytes, sizeChangeBytes }: VersionComparison['versions'][number]): string {
  if (sizeChangeBytes === 0) return formatBytes(sizeBytes);
  const sign = sizeChangeBytes > 0 ? '+' : '−';
  return `${formatBytes(sizeBytes)} (${sign}${formatBytes(Math.abs(sizeChangeBytes))})`;
}

function note(text: string): readonly PageBlock[] {
  return text === '' ? [] : [{ text, tone: 'note' }];
}

function shown(value: Json | undefined): string {
  if (value === undefined) return '–';
  return clip(typeof value === 'string' ? value : encodeJson(value), 300);
}

function clip(text: string, length = 200): string {
  return text.length > length ? `${text.slice(0, length).toWellFormed()}…` : text;
}
