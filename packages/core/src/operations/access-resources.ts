import type { MetadataStore } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { columnIs } from './every-record.ts';

/** Where grants on the whole platform lie; nobody may open it. */
export const platformWorkspace = '~platform';

/** A resource with what it lies in, from itself outwards, and the stage of a model version. */
export interface ResourceLine {
  readonly line: readonly string[];
  readonly stage?: string;
}

/** What grants can be made on. */
const grantable = ['platform', 'workspace', 'experiment', 'model', 'deployment', 'pipeline'];

/** Where a resource lies whose name says it all; undefined where the store must be asked. */
export function lineWithoutStore(workspace: string, resource: string): ResourceLine | undefined {
  const { kind, name } = parts(resource);
  if (kind === 'platform') return { line: ['platform'] };
  const outer = outerLine(workspace);
  if (kind === 'model' || kind === 'deployment' || kind === 'pipeline') {
    return { line: [`${kind}:${name}`, ...outer] };
  }
  return Object.hasOwn(inStore, kind) ? undefined : { line: outer };
}

/** The workspace and the platform around it. */
export function outerLine(workspace: string): readonly string[] {
  return [`workspace:${workspace}`, 'platform'];
}

type Lookup = (
  store: Pick<MetadataStore, 'find' | 'query'>,
  workspace: string,
  name: string,
) => Promise<ResourceLine | undefined>;

/** Where a resource lies. One that does not exist is judged as its workspace. */
export async function lineOf(
  store: Pick<MetadataStore, 'find' | 'query'>,
  workspace: string,
  resource: string,
): Promise<ResourceLine> {
  const known = lineWithoutStore(workspace, resource);
  if (known !== undefined) return known;
  const { kind, name } = parts(resource);
  // A longer name is nobody's; stores refuse to look for it.
  const found = isFindable(name) ? await inStore[kind]?.(store, workspace, name) : undefined;
  const outer = outerLine(workspace);
  if (found === undefined) return { line: outer };
  return { ...found, line: [...found.line, ...outer] };
}

/**
 * The name that a grant keeps: an experiment's is turned into its id. INVALID for what no grant can be made
 * on, and for another workspace; NOT_FOUND for an experiment that is not there.
 */
export async function grantResource(
  store: Pick<MetadataStore, 'find' | 'query'>,
  workspace: string,
  resource: string,
): Promise<string> {
  const { kind, name } = parts(assertText(resource, 'A resource', 1300));
  if (kind === 'platform' && name === '') return 'platform';
  if (kind === 'workspace' && (name === '' || name === workspace)) return `workspace:${workspace}`;
  if (!grantable.includes(kind) || kind === 'workspace' || name === '') {
    throw new KeelsonError(
      'INVALID',
      `Nothing can be granted on ${JSON.stringify(resource)} in workspace ${workspace}; name platform, workspace, or one experiment:…, model:…, deployment:… or pipeline:… of it.`,
      { details: { resource } },
    );
  }
  if (kind !== 'experiment') return resource;
  const found = await experimentLine(store, workspace, name);
  if (found !== undefined) return found.line[0] as string;
  throw new KeelsonError(
    'NOT_FOUND',
    `There is no experiment ${JSON.stringify(name)} in workspace ${workspace} to grant anything on; create it first.`,
  );
}

const experimentLine: Lookup = async (store, workspace, name) => {
  // As the service looks: by id, then by name.
  const byId = await store.find(workspace, 'experiment', name);
  if (byId !== undefined) return { line: [`experiment:${byId.id}`] };
  const byName = { where: columnIs('liveName', name), limit: 1 };
  const [found] = (await store.query(workspace, 'experiment', byName)).records;
  return found && { line: [`experiment:${found.id}`] };
};

const versionLine: Lookup = async (store, workspace, name) => {
  const at = name.lastIndexOf('@');
  const version =
    at < 0
      ? await store.find(workspace, 'model_version', name)
      : await versionOf(store, workspace, name.slice(0, at), name.slice(at + 1));
  if (version === undefined) return undefined;
  const { modelName, stage } = version.columns;
  return { line: [`version:${version.id}`, `model:${modelName}`], stage: stage as string };
};

const deploymentLine: Lookup = async (store, workspace, id) => {
  const deployment = await store.find(workspace, 'deployment', id);
  return deployment && { line: [`deployment:${deployment.columns['name']}`] };
};

/** The kinds whose place the store knows. */
const inStore: Readonly<Record<string, Lookup>> = {
  experiment: experimentLine,
  version: versionLine,
  'deployment-id': deploymentLine,
  async run(store, workspace, id) {
    const run = await store.find(workspace, 'run', id);
    return run && { line: [`run:${id}`, `experiment:${run.columns['experimentId']}`] };
  },
  'logged-model': within('logged_model', 'experimentId', experimentLine),
  transition: within('stage_transition', 'versionId', versionLine),
  validation: within('validation_report', 'versionId', versionLine),
  rollout: within('rollout', 'deploymentId', deploymentLine),
  'ab-test': within('ab_test', 'deploymentId', deploymentLine),
  alert: within('alert', 'deploymentId', deploymentLine),
  async execution(store, workspace, id) {
    const execution = await store.find(workspace, 'execution', id);
    return execution && { line: [`pipeline:${execution.columns['pipeline']}`] };
  },
};

/** Records that lie where another lies whose id a column has. */
function within(kind: string, column: string, outer: Lookup): Lookup {
  return async (store, workspace, id) => {
    const record = await store.find(workspace, kind, id);
    return record && outer(store, workspace, record.columns[column] as string);
  };
}

function parts(resource: string): { readonly kind: string; readonly name: string } {
  const colon = resource.indexOf(':');
  if (colon < 0) return { kind: resource, name: '' };
  return { kind: resource.slice(0, colon), name: resource.slice(colon + 1) };
}

function isFindable(name: string): boolean {
  return name.length <= 1000 && name.isWellFormed() && !name.includes('\u0000');
}

async function versionOf(
  store: Pick<MetadataStore, 'query'>,
  workspace: string,
  model: string,
  version: string,
): Promise<StoredRecord | undefined> {
  const of = [columnIs('modelName', model), columnIs('version', version)];
  const where = { op: 'and', of } as const;
  return (await store.query(workspace, 'model_version', { where, limit: 1 })).records[0];
}
