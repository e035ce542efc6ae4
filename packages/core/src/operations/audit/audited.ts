import type { StoredRecord } from '../../contracts/record.ts';

/** A record whose changes are audited: under which subject, and what of it is not attested. */
export interface AuditedKind {
  /** Whose chain; undefined where the commit's event, or `owner`, says it. */
  subject?(record: Pick<StoredRecord, 'id' | 'columns'>): string;
  /** The record that names the subject, where the record itself does not. */
  readonly owner?: { readonly kind: string; readonly column: string };
  /** Columns that are counted or noted in place, and attested by nothing. */
  readonly counted?: readonly string[];
  /** The body is noted in place too. */
  readonly looseBody?: true;
  /** Replacements that touch none of these columns are upkeep, and nobody's doing. */
  readonly onlyOf?: readonly string[];
  /** No revisions are kept: its creation alone is attested, by what never changes of it. */
  readonly creationOnly?: true;
}

const named =
  (noun: string, column: string) =>
  ({ columns }: Pick<StoredRecord, 'columns'>): string =>
    `${noun}:${String(columns[column])}`;

/** Kinds of records, each revision of which is attested. */
export const auditedKinds: Readonly<Record<string, AuditedKind>> = {
  model: { subject: named('model', 'name') },
  model_version: { subject: named('model', 'modelName') },
  stage_transition: { owner: { kind: 'model', column: 'modelId' } },
  version_signature: { owner: { kind: 'model', column: 'modelId' } },
  model_card: { owner: { kind: 'model', column: 'modelId' } },
  validation_suite: { owner: { kind: 'model', column: 'modelId' } },
  deployment: { subject: named('deployment', 'name') },
  route: { subject: named('deployment', 'deploymentName') },
  role_grant: { subject: named('principal', 'principal') },
  access_role: { subject: named('role', 'name') },
  api_key: { subject: ({ id }) => `key:${id}` },
  quota: {
    subject: named('quota', 'resource'),
    counted: ['used', 'period', 'warned'],
    looseBody: true,
    onlyOf: ['limit', 'per'],
  },
  event_archive: { subject: () => 'archives', counted: ['state'], creationOnly: true },
  incident: { subject: ({ id }) => `incident:${id}` },
  audit_erased: { subject: () => 'erasures' },
  audit_origin: { subject: () => 'imports', counted: ['state'], creationOnly: true },
};

/** Nouns whose events are audited, all types of theirs. */
const auditedNouns: ReadonlySet<string> = new Set([
  'model',
  'promotion',
  'alias',
  'deployment',
  'rollout',
  'traffic',
  'abtest',
  'access',
  'incident',
  'audit',
  'workspace',
]);

/** What has an audited noun, but is a figure or a state of things rather than somebody's doing. */
const left: ReadonlySet<string> = new Set([
  'audit.recorded',
  // The chain of the model stays as it came; that it came stands in the chain `imports`.
  'model.imported',
]);

/** Whether events of the type are attested by an entry of their subject's chain. */
export function isAuditedEvent(type: string): boolean {
  return auditedNouns.has(type.split('.', 1)[0] as string) && !left.has(type);
}
