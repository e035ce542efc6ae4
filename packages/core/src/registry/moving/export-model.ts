import type { ArchiveWriter } from '../../archive/archive-writer.ts';
import { LineSpool } from '../../archive/line-spool.ts';
import {
  decodeRecordLines,
  encodeRecordLine,
  type RecordLine,
} from '../../archive/record-lines.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { asJson, type JsonObject } from '../../json.ts';
import { eventsIn } from '../../operations/audit/arriving-chain.ts';
import {
  chainLines,
  changedBehind,
  lastLink,
  type MovingChain,
  movingChain,
} from '../../operations/audit/moving-chain.ts';
import { columnIs, everyRecord } from '../../operations/every-record.ts';
import { withHistory } from '../../operations/moving-records.ts';
import { type Changed, earlierLine, earlierVersion } from './earlier-lines.ts';
import {
  movedFacets,
  plainGroups,
  versionGroups,
  type WrittenGroup,
  writtenGroup,
} from './model-groups.ts';
import { modelPaths } from './models-layout.ts';
import { countOfKind, type MovedModelCounts } from './moved-model-counts.ts';
import type { NamedContent } from './named-contents.ts';

/** Who is told of what is written. */
export interface ModelSinks {
  readonly writer: ArchiveWriter;
  content(content: NamedContent): void;
  damaged(sha256: string, versionId: string): void;
  node(id: string): void;
  version(id: string): void;
  counted(what: keyof MovedModelCounts, count: number): void;
}

/** Records that are read at once. */
const pageSize = 200;

/** Kinds whose records are groups of their own, by the column that names their model. */
const kinds = ['model_version', 'stage_transition', 'validation_suite'] as const;

type GroupKind = (typeof kinds)[number];
type Spools = Readonly<Record<GroupKind, LineSpool<Omit<WrittenGroup, 'text'>>>>;

/**
 * Writes a model as of the moment at which its reading begins: the last entry of its chain by then is the
 * last of everything. What entries say has changed while it was read is taken back by the kept histories.
 * STALE, naming it, for one of which effects of a transition were running.
 */
export async function exportModel(
  scope: Scope,
  id: string,
  sinks: ModelSinks,
  signal: AbortSignal,
): Promise<void> {
  await using reading = await ModelReading.open(scope, id, signal);
  const read = await reading.read();
  if (read !== undefined) await write(scope, reading.spools, read, sinks, signal);
}

interface ReadModel {
  readonly model: RecordLine;
  readonly chain: MovingChain;
  readonly last: number;
}

class ModelReading implements AsyncDisposable {
  readonly spools: Spools;
  readonly #scope: Scope;
  readonly #id: string;
  readonly #signal: AbortSignal;

  private constructor(scope: Scope, id: string, spools: Spools, signal: AbortSignal) {
    this.#scope = scope;
    this.#id = id;
    this.spools = spools;
    this.#signal = signal;
  }

  static async open(scope: Scope, id: string, signal: AbortSignal): Promise<ModelReading> {
    const spools = {
      model_version: await LineSpool.open<Omit<WrittenGroup, 'text'>>(),
      stage_transition: await LineSpool.open<Omit<WrittenGroup, 'text'>>(),
      validation_suite: await LineSpool.open<Omit<WrittenGroup, 'text'>>(),
    };
    return new ModelReading(scope, id, spools, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const spool of Object.values(this.spools)) await spool[Symbol.asyncDispose]();
  }

  /** Undefined when the model is gone, or was made later than the moment. */
  async read(): Promise<ReadModel | undefined> {
    const scope = this.#scope;
    const found = await this.#model();
    if (found === undefined) return undefined;
    const subject = `model:${found.columns['name']}`;
    const moment = await lastLink(scope, subject);
    for (const kind of kinds) await this.#all(kind);
    const now = await this.#model();
    const line = now && (await withHistory(scope, now));
    // Whatever was read so far is attested up to here.
    const head = await lastLink(scope, subject);
    const changed = await changedBehind(scope, subject, moment.sequence, head.sequence);
    const model = line && earlierLine(line, changed);
    if (line === undefined || model === undefined) return undefined;
    if (model.record.columns['applyingId'] !== undefined) throw applying(model);
    if (changed.size > 0) await this.#takeBack(changed, aliasesMoved(line, model));
    return { model, chain: await movingChain(scope, subject, moment), last: moment.sequence };
  }

  #model(): Promise<StoredRecord | undefined> {
    const { metadata, workspace } = this.#scope;
    return metadata.find(workspace, 'model', this.#id, { facets: movedFacets['model'] ?? [] });
  }

  async #all(kind: GroupKind): Promise<void> {
    let page: StoredRecord[] = [];
    const of = {
      where: columnIs('modelId', this.#id),
      facets: movedFacets[kind] ?? [],
      limit: pageSize,
      signal: this.#signal,
    };
    for await (const record of everyRecord(this.#scope, kind, of)) {
      page.push(record);
      if (page.length < pageSize) continue;
      await this.#put(kind, page);
      page = [];
    }
    await this.#put(kind, page);
  }

  async #put(kind: GroupKind, records: readonly StoredRecord[]): Promise<void> {
    if (records.length === 0) return;
    const groups =
      kind === 'model_version'
        ? await versionGroups(this.#scope, records, this.#signal)
        : await plainGroups(this.#scope, records);
    for (const group of groups) {
      const { text, ...note } = await writtenGroup(this.#scope, group, this.#signal);
      await this.spools[kind].put(note.id, note.order, text, note);
    }
  }

  /** What has changed since the moment becomes what it was; what was made since goes. */
  async #takeBack(
    changed: Changed,
    aliases: ReadonlyMap<string, readonly string[]>,
  ): Promise<void> {
    for (const kind of kinds) {
      for (const { id, order, parts } of this.spools[kind].notes()) {
        const isVersion = kind === 'model_version';
        const touched = [`${kind} ${id}`, ...parts].some((key) => changed.has(key));
        if (!touched && !(isVersion && aliases.has(id))) continue;
        const lines = decodeRecordLines((await this.spools[kind].get(id)) ?? '');
        const before = isVersion
          ? earlierVersion(lines, changed, aliases.get(id))
          : lines.flatMap((line) => earlierLine(line, changed) ?? []);
        if (before.length === 0) {
          this.spools[kind].drop(id);
          continue;
        }
        const group = { id, order, lines: before };
        const { text, ...note } = await writtenGroup(this.#scope, group, this.#signal);
        await this.spools[kind].put(id, order, text, note);
      }
    }
  }
}

async function write(
  scope: Scope,
  spools: Spools,
  { model, chain, last }: ReadModel,
  sinks: ModelSinks,
  signal: AbortSignal,
): Promise<void> {
  const paths = modelPaths(model.record.id);
  const more: JsonObject = { audit: asJson(chain) };
  const first = await sinks.writer.member(paths.model);
  await first.write(Buffer.from(encodeRecordLine({ ...model, more })));
  for await (const bytes of spools.validation_suite.read()) await first.write(bytes);
  await first.close();
  for (const kind of ['model_version', 'stage_transition'] as const) {
    const member = await sinks.writer.member(
      kind === 'model_version' ? paths.versions : paths.transitions,
    );
    for await (const bytes of spools[kind].read()) await member.write(bytes);
    await member.close();
  }
  for (const kind of kinds) for (const group of spools[kind].notes()) tellOf(kind, group, sinks);
  sinks.counted('models', 1);
  const audit = await sinks.writer.member(paths.audit);
  for await (const line of chainLines(scope, chain.subject, last, signal)) {
    await audit.write(Buffer.from(encodeRecordLine(line)));
    if (line.record.kind !== 'audit_entry') continue;
    sinks.counted('auditEntries', 1);
    sinks.counted('events', eventsIn(line.more).length);
  }
  await audit.close();
}

function tellOf(kind: GroupKind, group: Omit<WrittenGroup, 'text'>, sinks: ModelSinks): void {
  if (kind === 'model_version') sinks.version(group.id);
  for (const [each, count] of Object.entries(group.counts)) {
    const what = countOfKind[each];
    if (what !== undefined) sinks.counted(what, count);
  }
  for (const content of group.contents) sinks.content(content);
  for (const sha256 of group.damaged) sinks.damaged(sha256, group.id);
  for (const node of group.nodes) sinks.node(node);
}

/** The aliases, as of then, of each version whose aliases may have been moved since. */
function aliasesMoved(now: RecordLine, then: RecordLine): ReadonlyMap<string, readonly string[]> {
  const moved = new Map<string, string[]>();
  if (now.record.revision === then.record.revision) return moved;
  const later = (now.history ?? []).filter(({ revision }) => revision >= then.record.revision);
  for (const { body } of later) for (const id of Object.values(aliasesOf(body))) moved.set(id, []);
  for (const [alias, id] of Object.entries(aliasesOf(then.record.body))) {
    moved.get(id)?.push(alias);
  }
  return moved;
}

function aliasesOf(body: JsonObject): Readonly<Record<string, string>> {
  return (body['aliases'] ?? {}) as Readonly<Record<string, string>>;
}

function applying({ record: { id, columns } }: RecordLine): KeelsonError {
  return new KeelsonError(
    'STALE',
    `The effects of transition ${columns['applyingId']} of model ${columns['name']} are running; export it once they have ended.`,
    { details: { modelId: id, transitionId: String(columns['applyingId']) } },
  );
}
