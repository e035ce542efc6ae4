import { isKeelsonError, type Services, type StoredExperiment } from '@keelson/core';
import { type Call, call } from './call.ts';
import {
  int64,
  list,
  message,
  needed,
  oneOf,
  pair,
  type Reader,
  set,
  text,
  toPairs,
} from './encoding.ts';
import { invalid, missing, refusal } from './errors.ts';
import { checkMaxResults } from './names.ts';
import { experimentWords, quoted, searching, translateFilter, translateOrders } from './search.ts';

/** MLflow's id of the experiment where runs go that name none. */
export const defaultId = '0';
const defaultName = 'Default';
const idsAtOnce = 100;

/** Which of the living and the deleted a search looks at. */
export const viewType: Reader<'ACTIVE_ONLY' | 'DELETED_ONLY' | 'ALL'> = oneOf(
  'ACTIVE_ONLY',
  'DELETED_ONLY',
  'ALL',
);

/** The experiment of an id of MLflow's, deleted ones too; RESOURCE_DOES_NOT_EXIST where there is none. */
export async function experimentOf(services: Services, id: string): Promise<StoredExperiment> {
  if (id === defaultId) {
    const own = await ownDefault(services);
    if (own !== undefined) return own;
    throw missing(`No Experiment with id=${id} exists`);
  }
  const search = { filter: `experiment_id = ${quoted(id)}`, lifecycle: 'all' } as const;
  const { experiments } = await services.tracking.searchExperiments(search);
  if (experiments[0] !== undefined) return experiments[0];
  throw missing(`No Experiment with id=${id} exists`);
}

/** The experiment that MLflow's clients know as 0: made when it is first asked for, by whoever may. */
async function ownDefault({ tracking }: Services): Promise<StoredExperiment | undefined> {
  const filter = `name = ${quoted(defaultName)}`;
  const { experiments } = await tracking.searchExperiments({ filter });
  if (experiments[0] !== undefined) return experiments[0];
  try {
    return await tracking.createExperiment({ name: defaultName, ifExists: 'reuse' });
  } catch (error) {
    if (isKeelsonError(error, 'FORBIDDEN')) return undefined;
    throw error;
  }
}

/** Our ids of those that there are; of others nothing is found. */
export async function knownExperiments(
  services: Services,
  ids: readonly string[],
): Promise<string[]> {
  const asked = new Set(ids);
  const others = [...asked].filter((id) => id !== defaultId);
  const known: string[] = [];
  if (asked.has(defaultId)) {
    const own = await ownDefault(services);
    if (own !== undefined) known.push(own.id);
  }
  // Clients that mean all experiments name each of them.
  for (let from = 0; from < others.length; from += idsAtOnce) {
    const some = others.slice(from, from + idsAtOnce);
    const filter = `experiment_id IN (${some.map(quoted).join(', ')})`;
    const search = { filter, lifecycle: 'all', limit: idsAtOnce } as const;
    const { experiments } = await services.tracking.searchExperiments(search);
    known.push(...experiments.map(({ id }) => id));
  }
  return known;
}

/** How MLflow's clients know an experiment. */
function wireId({ id, name, lifecycle }: StoredExperiment): string {
  return name === defaultName && lifecycle !== 'deleted' ? defaultId : id;
}

/** Our id of the experiment that MLflow's clients know as 0; undefined while there is none. */
export async function ownDefaultId({ tracking }: Services): Promise<string | undefined> {
  const { experiments } = await tracking.searchExperiments({
    filter: `name = ${quoted(defaultName)}`,
  });
  return experiments[0]?.id;
}

/** Where the artifacts of an experiment lie, for its clients. */
export function artifactRoot(experimentId: string): string {
  return `mlflow-artifacts:/${experimentId}`;
}

function toWire(experiment: StoredExperiment): object {
  const id = wireId(experiment);
  return {
    experiment_id: id,
    name: experiment.name,
    artifact_location: artifactRoot(id),
    lifecycle_stage: experiment.lifecycle === 'deleted' ? 'deleted' : 'active',
    last_update_time: experiment.updatedAt,
    creation_time: experiment.createdAt,
    ...set({ tags: toPairs(experiment.tags) }),
  };
}

function assertKept(experiment: StoredExperiment, what: string): void {
  if (experiment.name !== defaultName) return;
  throw invalid(
    `The experiment ${defaultName} cannot be ${what}: it is where runs go that name no experiment.`,
  );
}

function assertActive(experiment: StoredExperiment): void {
  if (experiment.lifecycle !== 'deleted') return;
  throw invalid(
    `The experiment ${wireId(experiment)} must be in the 'active' state. Current state is deleted.`,
  );
}

function nameTaken(name: string): Error {
  return refusal('RESOURCE_ALREADY_EXISTS', `Experiment '${name}' already exists.`);
}

const byId = message({ experiment_id: needed(text) });

/** The calls on experiments. */
export const experimentCalls: readonly Call[] = [
  call(
    'POST',
    'experiments/create',
    message({ name: needed(text), artifact_location: text, tags: list(pair) }),
    async ({ name, artifact_location: location = '', tags = [] }, { services }) => {
      if (location !== '' && !location.startsWith('mlflow-artifacts:')) {
        throw invalid(
          `Artifacts of this server lie in its own store, not at ${location.slice(0, 200)}; leave artifact_location out.`,
        );
      }
      try {
        const experiment = await services.tracking.createExperiment({
          name,
          tags: Object.fromEntries(tags.map(({ key, value }) => [key, value])),
        });
        return { experiment_id: wireId(experiment) };
      } catch (error) {
        if (isKeelsonError(error, 'CONFLICT')) throw nameTaken(name);
        throw error;
      }
    },
  ),
  call('GET', 'experiments/get', byId, async ({ experiment_id: id }, { services }) => ({
    experiment: toWire(await experimentOf(services, id)),
  })),
  call(
    'GET',
    'experiments/get-by-name',
    message({ experiment_name: needed(text) }),
    async ({ experiment_name: name }, { services }) => {
      if (name === defaultName)
        return { experiment: toWire(await experimentOf(services, defaultId)) };
      const search = { filter: `name = ${quoted(name)}`, limit: 1 };
      const { experiments } = await services.tracking.searchExperiments(search);
      if (experiments[0] !== undefined) return { experiment: toWire(experiments[0]) };
      throw missing(`Could not find experiment with name '${name}'`);
    },
  ),
  call(
    'POST GET',
    'experiments/search',
    message({
      ...{ max_results: int64, page_token: text, filter: text },
      ...{ order_by: list(text), view_type: viewType },
    }),
    async (asked, { services }) => {
      const { order_by: orders = [], page_token: token, view_type: view = 'ACTIVE_ONLY' } = asked;
      const most = checkMaxResults(asked.max_results, 1_000, 50_000);
      // The experiment 0 is there before anybody asks for it.
      if (token === undefined) await ownDefault(services);
      const filter = translateFilter(asked.filter, experimentWords);
      const orderBy = translateOrders(orders, experimentWords);
      const found: StoredExperiment[] = [];
      let cursor = token;
      do {
        const page = await searching(() =>
          services.tracking.searchExperiments({
            filter,
            lifecycle: ({ ACTIVE_ONLY: 'kept', DELETED_ONLY: 'deleted', ALL: 'all' } as const)[
              view
            ],
            limit: Math.min(1_000, most - found.length),
            ...(orderBy.length === 0 ? {} : { orderBy }),
            ...(cursor === undefined || cursor === '' ? {} : { cursor }),
          }),
        );
        found.push(...page.experiments);
        cursor = page.cursor;
      } while (cursor !== undefined && found.length < most);
      return set({ experiments: found.map(toWire), next_page_token: cursor });
    },
  ),
  call(
    'POST',
    'experiments/update',
    message({ experiment_id: needed(text), new_name: text }),
    async ({ experiment_id: id, new_name: name }, { services }) => {
      const experiment = await experimentOf(services, id);
      assertActive(experiment);
      if (name === undefined || name === '' || name === experiment.name) return {};
      assertKept(experiment, 'renamed');
      try {
        await services.tracking.updateExperiment(experiment.id, { name });
      } catch (error) {
        if (isKeelsonError(error, 'CONFLICT')) throw nameTaken(name);
        throw error;
      }
      return {};
    },
  ),
  call('POST', 'experiments/delete', byId, async ({ experiment_id: id }, { services }) => {
    const experiment = await experimentOf(services, id);
    assertActive(experiment);
    assertKept(experiment, 'deleted');
    await services.tracking.deleteExperiment(experiment.id);
    return {};
  }),
  call('POST', 'experiments/restore', byId, async ({ experiment_id: id }, { services }) => {
    const { id: own, name } = await experimentOf(services, id);
    try {
      await services.tracking.restoreExperiment(own);
    } catch (error) {
      if (isKeelsonError(error, 'CONFLICT')) throw nameTaken(name);
      throw error;
    }
    return {};
  }),
  call(
    'POST',
    'experiments/set-experiment-tag',
    message({ experiment_id: needed(text), key: needed(text), value: text }),
    async ({ experiment_id: id, key, value = '' }, { services }) => {
      const experiment = await experimentOf(services, id);
      assertActive(experiment);
      await services.tracking.setExperimentTags(experiment.id, { [key]: value });
      return {};
    },
  ),
  call(
    'POST',
    'experiments/delete-experiment-tag',
    message({ experiment_id: needed(text), key: needed(text) }),
    async ({ experiment_id: id, key }, { services }) => {
      const experiment = await experimentOf(services, id);
      assertActive(experiment);
      if (!Object.hasOwn(experiment.tags, key)) throw missing(`No tag with name: ${key}`);
      await services.tracking.removeExperimentTags(experiment.id, [key]);
      return {};
    },
  ),
];
