/** How many things of each sort were exported or imported. */
export interface MovedModelCounts {
  readonly models: number;
  /** Deleted and purged ones too. */
  readonly versions: number;
  readonly transitions: number;
  /** What versions came of. */
  readonly edges: number;
  /** That versions came of. */
  readonly datasets: number;
  readonly signatures: number;
  readonly cards: number;
  readonly validationSuites: number;
  readonly validationReports: number;
  /** Different contents. */
  readonly contents: number;
  readonly auditEntries: number;
  /** Events that those entries attest. */
  readonly events: number;
}

/** What counts are kept of records. */
export const countOfKind: Readonly<Record<string, keyof MovedModelCounts>> = {
  model: 'models',
  model_version: 'versions',
  stage_transition: 'transitions',
  edge: 'edges',
  dataset: 'datasets',
  version_signature: 'signatures',
  model_card: 'cards',
  validation_suite: 'validationSuites',
  validation_report: 'validationReports',
  audit_entry: 'auditEntries',
};

/** Counts that go up. */
export type ModelTally = { -readonly [K in keyof MovedModelCounts]: number };

/** Nothing counted yet. */
export function emptyModelTally(): ModelTally {
  return {
    models: 0,
    versions: 0,
    transitions: 0,
    edges: 0,
    datasets: 0,
    signatures: 0,
    cards: 0,
    validationSuites: 0,
    validationReports: 0,
    contents: 0,
    auditEntries: 0,
    events: 0,
  };
}

/** Adds counts to others. */
export function addTally(to: ModelTally, more: MovedModelCounts): void {
  for (const name of Object.keys(to) as (keyof MovedModelCounts)[]) to[name] += more[name];
}
