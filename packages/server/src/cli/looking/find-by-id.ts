import {
  type Deployment,
  type Execution,
  type Experiment,
  isKeelsonError,
  KeelsonError,
  type Model,
  type ModelVersion,
  type Platform,
  type Run,
} from '@keelson/core';
import { nearest } from '../nearest.ts';

/** How an id is shown in tables: its end, since the beginning of ids is the time. */
export function shortId(id: string): string {
  return id.length > 12 ? id.slice(-8) : id;
}

const fewest = 4;
const most = 6;

/** The text as the filter language has it. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function isPartOfId(text: string): boolean {
  return text.length >= fewest && /^[0-9a-zA-Z-]+$/.test(text);
}

function ambiguous(
  what: string,
  text: string,
  found: readonly { readonly id: string; readonly name?: string }[],
): KeelsonError {
  const some = found
    .slice(0, 5)
    .map(({ id, name }) => (name === undefined ? id : `${id} (${name})`));
  const more = found.length > 5 ? ', …' : '';
  return new KeelsonError(
    'CONFLICT',
    `${JSON.stringify(text)} is more than one ${what}: ${some.join(', ')}${more}. Give more of the id.`,
    { details: { candidates: found.map(({ id }) => id) } },
  );
}

/**
 * The run of an id, of the beginning or the end of one, or of a name, where that is one run. NOT_FOUND and CONFLICT say
 * what to do.
 */
export async function findRun({ tracking }: Platform, text: string): Promise<Run> {
  const exact = await tracking.findRun(text);
  if (exact !== undefined) return exact;
  const filters = [
    ...(isPartOfId(text) ? [`id LIKE ${quote(`${text}%`)}`, `id LIKE ${quote(`%${text}`)}`] : []),
    `name = ${quote(text)}`,
  ];
  for (const filter of filters) {
    const { runs } = await tracking.searchRuns({ filter, limit: most });
    if (runs.length > 1) throw ambiguous('run', text, runs);
    if (runs[0] !== undefined) return runs[0];
  }
  throw new KeelsonError(
    'NOT_FOUND',
    `There is no run ${text}. Give its id, the beginning or end of one, or its name; \`keelson runs list\` shows them.`,
  );
}

/** The execution of an id, or of the beginning or end of one among the newest 1,000. */
export async function findExecution({ pipelines }: Platform, text: string): Promise<Execution> {
  const exact = await pipelines.find(text);
  if (exact !== undefined) return exact;
  const { executions } = await pipelines.list({ limit: 1_000 });
  const fitting = isPartOfId(text)
    ? executions.filter(({ id }) => id.startsWith(text) || id.endsWith(text))
    : [];
  if (fitting.length > 1) throw ambiguous('execution', text, fitting);
  if (fitting[0] !== undefined) return fitting[0];
  const ofName = executions.find(({ pipeline }) => pipeline === text);
  if (ofName !== undefined) return ofName;
  throw new KeelsonError(
    'NOT_FOUND',
    `There is no execution ${text}. Give its id, the beginning or end of one, or a pipeline's name for its newest; \`keelson pipelines list\` shows them.`,
  );
}

/** The version of a reference such as `fraud@champion`; of a name alone, the newest. */
export async function findVersion(platform: Platform, text: string): Promise<ModelVersion> {
  if (text.includes('@')) return platform.registry.resolve(text);
  await findModel(platform, text);
  return platform.registry.resolve(`${text}@latest`);
}

/** A model by name; NOT_FOUND names those that are like it. */
export async function findModel({ registry }: Platform, name: string): Promise<Model> {
  const found = await registry.findModel(name);
  if (found !== undefined) return found;
  const { models } = await registry.searchModels({ name, limit: 3 });
  const like = models.map((each) => each.name).join(', ');
  const remedy =
    like === '' ? '`keelson models list` shows those that are there.' : `Did you mean ${like}?`;
  throw new KeelsonError('NOT_FOUND', `There is no model ${name}. ${remedy}`);
}

/** An experiment by name or id; NOT_FOUND says what there is. */
export async function findExperiment({ tracking }: Platform, name: string): Promise<Experiment> {
  const found = await tracking.findExperiment(name);
  if (found !== undefined) return found;
  const { experiments } = await tracking.listExperiments({ limit: 1_000 });
  throw notThere('experiment', name, experiments, 'keelson experiments list');
}

/** A deployment by name; NOT_FOUND says what there is. */
export async function findDeployment({ deployments }: Platform, name: string): Promise<Deployment> {
  const found = await deployments.find(name);
  if (found !== undefined) return found;
  const page = await deployments.list({ limit: 1_000 });
  throw notThere('deployment', name, page.deployments, 'keelson deployments list');
}

/** The name of a pipeline that is stored; NOT_FOUND says what there is. */
export async function findPipeline({ pipelines }: Platform, name: string): Promise<string> {
  try {
    return (await pipelines.getDefinition(name)).name;
  } catch (error) {
    if (!isKeelsonError(error, 'NOT_FOUND')) throw error;
    const { definitions } = await pipelines.definitions({ limit: 1_000 });
    throw notThere('pipeline', name, definitions, 'keelson pipelines list');
  }
}

function notThere(
  what: string,
  name: string,
  there: readonly { readonly name: string }[],
  list: string,
): KeelsonError {
  const like = nearest(
    name,
    there.map((each) => each.name),
  );
  const remedy =
    like === undefined ? `\`${list}\` shows those that are there.` : `Did you mean ${like}?`;
  return new KeelsonError('NOT_FOUND', `There is no ${what} ${name}. ${remedy}`);
}
