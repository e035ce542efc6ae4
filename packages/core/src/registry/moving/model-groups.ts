import { encodeRecordLine, type RecordLine } from '../../archive/record-lines.ts';
import type { Predicate } from '../../contracts/query.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { everyRecord } from '../../operations/every-record.ts';
import { moved, withHistory } from '../../operations/moving-records.ts';
import { contentsNamedBy, type NamedContent } from './named-contents.ts';

/** The facets that records of a kind move with. */
export const movedFacets: Readonly<Record<string, readonly string[]>> = {
  model: ['tags'],
  model_version: ['tags', 'metrics', 'aliases', 'card', 'validations'],
};

/** A record after what hangs on it: they lie together in an archive. */
export interface LineGroup {
  readonly id: string;
  /** Where it stands among its like. */
  readonly order: number | string;
  readonly lines: readonly RecordLine[];
}

/** A group as it is written, and what is to be known of it. */
export interface WrittenGroup {
  readonly id: string;
  readonly order: number | string;
  readonly text: string;
  readonly counts: Readonly<Record<string, number>>;
  readonly contents: readonly NamedContent[];
  /** Contents of a version that was found damaged, which cannot be read. */
  readonly damaged: readonly string[];
  /** Where its edges come from. */
  readonly nodes: readonly string[];
  /** Ids of what hangs on it and has a history of its own: `kind id`. */
  readonly parts: readonly string[];
}

/** Versions, each after what it came of, its signatures, its card and its reports. */
export async function versionGroups(
  scope: Scope,
  records: readonly StoredRecord[],
  signal: AbortSignal,
): Promise<readonly LineGroup[]> {
  const ids = records.map(({ id }) => id);
  const hanging = async (kind: string, column: string): Promise<Map<string, RecordLine[]>> => {
    const of = new Map<string, RecordLine[]>();
    const where: Predicate = { op: 'in', left: { from: 'column', name: column }, values: ids };
    for await (const record of everyRecord(scope, kind, { where, signal })) {
      const line = await lineOf(scope, record);
      const owner = String(record.columns[column]);
      if (line !== undefined) of.set(owner, [...(of.get(owner) ?? []), line]);
    }
    return of;
  };
  const edges = await hanging('edge', 'to');
  const signatures = await hanging('version_signature', 'versionId');
  const reports = await hanging('validation_report', 'versionId');
  const cards = new Map<string, RecordLine>();
  for (const record of await scope.metadata.findMany(scope.workspace, 'model_card', ids)) {
    const line = await lineOf(scope, record);
    if (line !== undefined) cards.set(record.id, line);
  }
  const groups: LineGroup[] = [];
  for (const record of records) {
    const line = await lineOf(scope, record);
    if (line === undefined) continue;
    const { id } = record;
    const card = cards.get(id);
    const lines = [
      ...sorted(edges.get(id)),
      ...sorted(signatures.get(id)),
      ...(card === undefined ? [] : [card]),
      ...sorted(reports.get(id)),
      line,
    ];
    groups.push({ id, order: record.columns['number'] as number, lines });
  }
  return groups;
}

/** Transitions, or the suites of a model. */
export async function plainGroups(
  scope: Scope,
  records: readonly StoredRecord[],
): Promise<readonly LineGroup[]> {
  const groups: LineGroup[] = [];
  for (const record of records) {
    const { id } = record;
    const line = await lineOf(scope, record);
    if (line !== undefined) groups.push({ id, order: id, lines: [line] });
  }
  return groups;
}

/** A group as it is written; damaged content of versions that are FAILED is looked for. */
export async function writtenGroup(
  scope: Scope,
  { id, order, lines }: LineGroup,
  signal: AbortSignal,
): Promise<WrittenGroup> {
  const counts: Record<string, number> = {};
  const contents: NamedContent[] = [];
  const damaged: string[] = [];
  const nodes: string[] = [];
  const parts: string[] = [];
  const texts: string[] = [];
  for (const line of lines) {
    const { kind, columns } = line.record;
    counts[kind] = (counts[kind] ?? 0) + 1;
    if (kind === 'edge') nodes.push(String(columns['from']));
    else if (line.record.id !== id || kind === 'model_card')
      parts.push(`${kind} ${line.record.id}`);
    const named = await contentsNamedBy(scope, line.record, signal);
    contents.push(...named.contents);
    damaged.push(...named.damaged);
    texts.push(encodeRecordLine(named.more === undefined ? line : { ...line, more: named.more }));
  }
  return { id, order, text: texts.join(''), counts, contents, damaged, nodes, parts };
}

/** A record as it moves: with its kept history, where its kind keeps one. */
async function lineOf(scope: Scope, record: StoredRecord): Promise<RecordLine | undefined> {
  const { kind } = record;
  if (kind === 'edge' || kind === 'validation_report') return { record: moved(record) };
  return withHistory(scope, record);
}

function sorted(lines: readonly RecordLine[] | undefined): readonly RecordLine[] {
  return (lines ?? []).toSorted((a, b) => (a.record.id < b.record.id ? -1 : 1));
}
