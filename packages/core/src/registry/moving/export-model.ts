import type { ArchiveWriter } from '../../archive/archive-writer.ts';
import { LineSpool } from '../../archive/line-spool.ts';
import { encodeRecordLine, type RecordLine } from '../../archive/record-lines.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { asJson, type JsonObject } from '../../json.ts';
import { eventsIn } from '../../operations/audit/arriving-chain.ts';
import {
  attestedBehind,
  chainLines,
  lastLink,
  type MovingChain,
  movingChain,
} from '../../operations/audit/moving-chain.ts';
import { columnIs, everyRecord } from '../../operations/every-record.ts';
import { withHistory } from '../../operations/moving-records.ts';
import { type LineGroup, movedFacets, plainGroups, versionGroups } from './model-groups.ts';
import { modelPaths } from './models-layout.ts';
import type { MovedModelCounts } from './moved-model-counts.ts';
import { countOfKind } from './moved-model-counts.ts';
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
/** So often what has changed meanwhile is read again; each time it is less. */
const rounds = 50;

/** Kinds whose records are groups of their own, by the column that names their model. */
const kinds = ['model_version', 'stage_transition', 'validation_suite'] as const;

type GroupKind = (typeof kinds)[number];

/**
 * Writes a model as of one moment: the last entry of its chain that is written is the last of everything.
 * What changes while it is read is read again, until nothing has. STALE, naming it, for one that does not
 * come to rest, and while the effects of a transition are running.
 */
export async function exportModel(
  scope: Scope,
  id: string,
  sinks: ModelSinks,
  signal: AbortSignal,
): Promise<void> {
  await using reading = await ModelReading.open(scope, id, signal);
  const still = await reading.settle();
  if (still === undefined) return;
  await write(scope, reading, still, sinks, signal);
}

interface StillModel {
  readonly model: RecordLine;
  readonly chain: MovingChain;
  readonly last: number;
}

class ModelReading implements AsyncDisposable {
  readonly spools: Readonly<Record<GroupKind, LineSpool<LineGroup>>>;
  readonly #scope: Scope;
  readonly #id: string;
  readonly #signal: AbortSignal;

  private constructor(
    scope: Scope,
    id: string,
    spools: Readonly<Record<GroupKind, LineSpool<LineGroup>>>,
    signal: AbortSignal,
  ) {
    this.#scope = scope;
    this.#id = id;
    this.spools = spools;
    this.#signal = signal;
  }

  static async open(scope: Scope, id: string, signal: AbortSignal): Promise<ModelReading> {
    const spools = {
      model_version: await LineSpool.open<LineGroup>(),
      stage_transition: await LineSpool.open<LineGroup>(),
      validation_suite: await LineSpool.open<LineGroup>(),
    };
    return new ModelReading(scope, id, spools, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const spool of Object.values(this.spools)) await spool[Symbol.asyncDispose]();
  }

  /** Reads until nothing has changed since; undefined when the model is gone. */
  async settle(): Promise<StillModel | undefined> {
    const scope = this.#scope;
    let model = await this.#model();
    if (model === undefined) return undefined;
    const subject = `model:${model.columns['name']}`;
    let last = await lastLink(scope, subject);
    for (const kind of kinds) await this.#all(kind);
    for (let round = 1; round <= rounds; round += 1) {
      this.#signal.throwIfAborted();
      const now = await this.#model();
      const head = await lastLink(scope, subject);
      if (now === undefined) return undefined;
      if (now.revision === model.revision && head.sequence === last.sequence) {
        const line = await withHistory(scope, now);
        if (line === undefined) return undefined;
        if (line.record.revision === now.revision) {
          if (now.columns['applyingId'] !== undefined) throw applying(now);
          return {
            model: line,
            chain: await movingChain(scope, subject, last),
            last: last.sequence,
          };
        }
      }
      const changed = await attestedBehind(scope, subject, last.sequence, head.sequence);
      await this.#again(changed, movedAliases(model, now));
      [model, last] = [now, head];
    }
    throw new KeelsonError(
      'STALE',
      `Model ${model.columns['name']} is changed so often that it cannot be exported as of one moment; try again.`,
      { details: { modelId: this.#id } },
    );
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

  /** Reads what entries say has changed, and what has got or lost an alias. */
  async #again(
    changed: ReadonlyMap<string, ReadonlySet<string>>,
    aliased: readonly string[],
  ): Promise<void> {
    const versions = new Set([
      ...(changed.get('model_version') ?? []),
      ...(changed.get('model_card') ?? []),
      ...(await this.#signed(changed.get('version_signature'))),
      ...aliased,
    ]);
    await this.#some('model_version', [...versions]);
    await this.#some('stage_transition', [...(changed.get('stage_transition') ?? [])]);
    await this.#some('validation_suite', [...(changed.get('validation_suite') ?? [])]);
  }

  async #signed(ids: ReadonlySet<string> | undefined): Promise<readonly string[]> {
    const { metadata, workspace } = this.#scope;
    const found = await metadata.findMany(workspace, 'version_signature', [...(ids ?? [])]);
    return found.map(({ columns }) => String(columns['versionId']));
  }

  async #some(kind: GroupKind, ids: readonly string[]): Promise<void> {
    const { metadata, workspace } = this.#scope;
    const facets = movedFacets[kind] ?? [];
    for (let at = 0; at < ids.length; at += pageSize) {
      const part = ids.slice(at, at + pageSize);
      await this.#put(kind, await metadata.findMany(workspace, kind, part, { facets }));
    }
  }

  async #put(kind: GroupKind, records: readonly StoredRecord[]): Promise<void> {
    if (records.length === 0) return;
    const groups =
      kind === 'model_version'
        ? await versionGroups(this.#scope, records, this.#signal)
        : await plainGroups(this.#scope, records, this.#signal);
    for (const { lines, ...rest } of groups) {
      await this.spools[kind].put(rest.id, rest.order, lines, { ...rest, lines: '' });
    }
  }
}

async function write(
  scope: Scope,
  { spools }: ModelReading,
  { model, chain, last }: StillModel,
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

function tellOf(kind: GroupKind, group: LineGroup, sinks: ModelSinks): void {
  if (kind === 'model_version') sinks.version(group.id);
  for (const [each, count] of Object.entries(group.counts)) {
    const what = countOfKind[each];
    if (what !== undefined) sinks.counted(what, count);
  }
  for (const content of group.contents) sinks.content(content);
  for (const sha256 of group.damaged) sinks.damaged(sha256, group.id);
  for (const node of group.nodes) sinks.node(node);
}

/** The versions whose aliases differ between two looks at their model. */
function movedAliases(before: StoredRecord, now: StoredRecord): readonly string[] {
  const aliasesOf = ({ body }: StoredRecord): Readonly<Record<string, string>> =>
    (body['aliases'] ?? {}) as Readonly<Record<string, string>>;
  const [old, fresh] = [aliasesOf(before), aliasesOf(now)];
  const names = new Set([...Object.keys(old), ...Object.keys(fresh)]);
  const changed = [...names].filter((name) => old[name] !== fresh[name]);
  return changed.flatMap((name) => [old[name], fresh[name]].filter((one) => one !== undefined));
}

function applying({ id, columns }: StoredRecord): KeelsonError {
  return new KeelsonError(
    'STALE',
    `The effects of transition ${columns['applyingId']} of model ${columns['name']} are running; export it once they have ended.`,
    { details: { modelId: id, transitionId: String(columns['applyingId']) } },
  );
}
