import type { TensorSpec } from '../../contracts/model-runtime.ts';
import type { Scope } from '../../contracts/scope.ts';
import { encodeJson, type Json } from '../../json.ts';
import { formatBytes, formatNumber } from '../../tracking/format-figures.ts';
import { is, readVersionById } from '../model-records.ts';
import type { ModelLineage, ModelVersion } from '../model-version.ts';
import type { PageBlock, PageDocument, Pair } from '../page-document.ts';
import { type StageTransition, transitionFromRecord } from '../transition.ts';
import type { ModelCard } from './card.ts';

type ReadScope = Pick<Scope, 'metadata' | 'workspace'>;

/** The newest outcome of a suite on a version. */
interface Validation {
  readonly suite: string;
  readonly outcome: string;
  readonly at: number;
  readonly by: string;
}

/** The page of a version: its card, and what the registry knows besides. */
export async function cardDocument(scope: ReadScope, version: ModelVersion): Promise<PageDocument> {
  const [record, transitions, validations, parents] = await Promise.all([
    scope.metadata.find(scope.workspace, 'model_card', version.id),
    readTransitions(scope, version.id),
    readValidations(scope, version.id),
    Promise.all(version.lineage.parentVersionIds.map((id) => nameOf(scope, id))),
  ]);
  const card = (record?.body ?? {}) as ModelCard;
  return {
    title: `${version.model} ${version.version}`,
    badges: [
      { text: version.stage, tone: version.stage === 'PRODUCTION' ? 'good' : 'plain' },
      ...(version.status === 'FAILED' ? [{ text: 'FAILED', tone: 'bad' } as const] : []),
    ],
    intro: [...warnings(version), { text: card.purpose ?? version.description }, facts(version)],
    sections: [
      { title: 'Responsible', blocks: [responsible(card)] },
      { title: 'Uses', blocks: uses(card) },
      { title: 'Limitations', blocks: [{ list: card.limitations ?? [] }] },
      { title: 'Model', blocks: [built(card)] },
      { title: 'Metrics', blocks: [metrics(version, card)] },
      { title: 'Performance', blocks: [measured(card)] },
      { title: 'Validations', blocks: [validationTable(validations)] },
      { title: 'Signature', blocks: signature(version) },
      { title: 'Lineage', blocks: [lineage(version.lineage, parents)] },
      { title: 'Stages', blocks: stages(transitions) },
      { title: 'Further attributes', blocks: [custom(card)] },
      { title: 'Notes', blocks: [{ text: card.notes ?? '' }] },
      ...(record === undefined ? [{ title: 'Card', blocks: [noCard] }] : []),
    ],
  };
}

const noCard: PageBlock = {
  text: 'This version has no card yet; registry.setCard() gives it one.',
  tone: 'note',
};

function warnings({ deprecated, failure, deletedAt }: ModelVersion): readonly PageBlock[] {
  const all: PageBlock[] = [];
  if (deletedAt !== undefined) all.push({ text: `Deleted on ${time(deletedAt)}.`, tone: 'bad' });
  if (failure !== undefined) all.push({ text: `Damaged: ${failure}`, tone: 'bad' });
  if (deprecated !== undefined)
    all.push({ text: `Deprecated on ${time(deprecated.at)}: ${deprecated.reason}`, tone: 'bad' });
  return all;
}

function facts(version: ModelVersion): PageBlock {
  const { files, aliases } = version;
  return {
    pairs: [
      ['number', String(version.number)],
      ['aliases', aliases.join(', ')],
      ['format', version.format],
      ['size', `${formatBytes(version.sizeBytes)} in ${files.length} file${plural(files.length)}`],
      ['sha256', version.sha256],
      ['registered', `${time(version.createdAt)} by ${version.createdBy}`],
    ],
  };
}

function responsible({ team, maintainer, regulatoryClass }: ModelCard): PageBlock {
  return {
    pairs: [
      ['team', team],
      ['maintainer', maintainer],
      ['regulatory class', regulatoryClass],
    ],
  };
}

function uses({ approvedUses = [], excludedUses = [] }: ModelCard): readonly PageBlock[] {
  return [
    ...(approvedUses.length === 0 ? [] : [{ text: 'Approved:' }, { list: approvedUses }]),
    ...(excludedUses.length === 0 ? [] : [{ text: 'Not approved:' }, { list: excludedUses }]),
  ];
}

function built({ framework, architecture, parameterCount, hardware }: ModelCard): PageBlock {
  const name = [framework?.name, framework?.version].filter(Boolean).join(' ');
  return {
    pairs: [
      ['framework', name],
      ['architecture', architecture],
      ['parameters', parameterCount?.toLocaleString('en')],
      ['hardware', hardware],
    ],
  };
}

/** The registered metrics, and the card's own beside them. */
function metrics(version: ModelVersion, card: ModelCard): PageBlock {
  const names = [
    ...new Set([...Object.keys(version.metrics), ...Object.keys(card.metrics ?? {})]),
  ].sort();
  const shown = (value: number | undefined): string => formatNumber(value) ?? '';
  return {
    head: ['metric', 'at registration', 'on the card'],
    rows: names.map((name) => [name, shown(version.metrics[name]), shown(card.metrics?.[name])]),
  };
}

function measured({ performance = {} }: ModelCard): PageBlock {
  const { p50Ms, p99Ms, requestsPerSecond, memoryBytes, measuredOn } = performance;
  const ms = (value: number | undefined): string | undefined =>
    value === undefined ? undefined : `${formatNumber(value)} ms`;
  return {
    pairs: [
      ['latency, median', ms(p50Ms)],
      ['latency, 99th percentile', ms(p99Ms)],
      ['requests per second', formatNumber(requestsPerSecond)],
      ['memory', memoryBytes === undefined ? undefined : formatBytes(memoryBytes)],
      ['measured on', measuredOn],
    ],
  };
}

function validationTable(validations: readonly Validation[]): PageBlock {
  return {
    head: ['suite', 'outcome', 'at', 'by'],
    rows: validations.map(({ suite, outcome, at, by }) => [suite, outcome, time(at), by]),
  };
}

function signature({ signature: found }: ModelVersion): readonly PageBlock[] {
  if (found === undefined) return [{ text: 'None was registered.', tone: 'note' }];
  const row = (way: string, spec: TensorSpec): string[] => [
    way,
    spec.name,
    spec.datatype,
    `[${spec.shape.map((size) => (size === -1 ? 'any' : size)).join(', ')}]`,
    (spec.columns ?? []).join(', '),
  ];
  const rows = [
    ...found.inputs.map((spec) => row('input', spec)),
    ...found.outputs.map((spec) => row('output', spec)),
  ];
  return [{ head: ['', 'name', 'type', 'shape', 'columns'], rows }];
}

function lineage(from: ModelLineage, parents: readonly string[]): PageBlock {
  const datasets = (from.datasets ?? []).map(({ name, role, digest }): Pair => {
    const known = [name, role === undefined ? undefined : `(${role})`, digest];
    return ['dataset', known.filter(Boolean).join(' ')];
  });
  return {
    pairs: [
      ['run', from.sourceRunId],
      ['code', from.codeCommit],
      ['pipeline execution', from.pipelineExecutionId],
      ...parents.map((parent): Pair => ['made from', parent]),
      ...datasets,
      ['feature sets', (from.featureSets ?? []).join(', ')],
      ['lock file', from.environment?.lockHash],
      ['image', from.environment?.image],
    ],
  };
}

function stages(transitions: readonly StageTransition[]): readonly PageBlock[] {
  const rows = transitions.map(({ requestedAt, from, to, status, requestedBy, ...more }) => {
    const decided = more.approvals.map(
      ({ principal, decision }) =>
        `${decision === 'APPROVE' ? 'approved' : 'rejected'} by ${principal}`,
    );
    const failed = more.checks.flatMap(({ name, passed }) => (passed ? [] : [`failed ${name}`]));
    const came = [status, ...decided, ...failed].join(', ');
    return [time(requestedAt), `${from} → ${to}`, came, requestedBy, more.reason];
  });
  return [{ head: ['asked at', 'move', 'outcome', 'asked by', 'reason'], rows }];
}

function custom(card: ModelCard): PageBlock {
  const text = (value: Json): string => {
    if (typeof value !== 'object' || value === null) return String(value);
    const isPlain = Array.isArray(value) && value.every((item) => typeof item !== 'object');
    return isPlain ? value.join(', ') : encodeJson(value);
  };
  const entries = Object.entries(card.custom ?? {});
  return { pairs: entries.map(([name, value]): Pair => [name, text(value)]) };
}

async function readTransitions(
  scope: ReadScope,
  versionId: string,
): Promise<readonly StageTransition[]> {
  const { records } = await scope.metadata.query(scope.workspace, 'stage_transition', {
    where: is('versionId', versionId),
    orderBy: [{ by: { from: 'column', name: 'id' }, direction: 'desc' }],
    limit: 50,
  });
  return records.map(transitionFromRecord).reverse();
}

async function readValidations(
  scope: ReadScope,
  versionId: string,
): Promise<readonly Validation[]> {
  const { records } = await scope.metadata.query(scope.workspace, 'validation_report', {
    where: is('versionId', versionId),
    orderBy: [{ by: { from: 'column', name: 'createdAt' }, direction: 'desc' }],
    limit: 500,
  });
  const newest = new Map<string, Validation>();
  for (const { columns, createdAt: at } of records) {
    const [suite, outcome, by] = [columns['suite'], columns['outcome'], columns['createdBy']].map(
      String,
    ) as [string, string, string];
    if (!newest.has(suite)) newest.set(suite, { suite, outcome, by, at });
  }
  return [...newest.values()].sort((a, b) => (a.suite < b.suite ? -1 : 1));
}

/** What stands for a parent, which may have been deleted. */
async function nameOf(scope: ReadScope, id: string): Promise<string> {
  const { model, version } = await readVersionById(scope, id);
  return `${model}@${version} (${id})`;
}

function time(at: number): string {
  return new Date(at)
    .toISOString()
    .replace('T', ' ')
    .replace(/\.\d+Z$/, ' UTC');
}

function plural(count: number): string {
  return count === 1 ? '' : 's';
}
