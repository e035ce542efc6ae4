import { isKeelsonError, type Model, type StagePolicy } from '@keelson/core';
import { type Call, call } from './call.ts';
import { int64, list, message, needed, pair, set, text } from './encoding.ts';
import { invalid, refusal } from './errors.ts';
import { checkMaxResults, isPlainPath } from './names.ts';
import { modelWords, searching, translateFilter, translateOrders } from './search.ts';
import {
  modelOf,
  modelToWire,
  newestOfStages,
  stageOf,
  versionOf,
  versionToWire,
} from './version-wire.ts';

const all = ['DEVELOPMENT', 'STAGING', 'PRODUCTION', 'ARCHIVED'] as const;

/**
 * What MLflow asks of stages: any move (but from Archived to Production), at once, by whoever may promote, and as many versions in production as one
 * likes. Models that its clients make begin with it; `registry.setPolicy` asks more of them.
 */
export const mlflowStagePolicy: StagePolicy = {
  transitions: all.flatMap((from) =>
    all
      // What was archived goes back to production by way of staging: the registry has no other.
      .filter((to) => to !== from && !(from === 'ARCHIVED' && to === 'PRODUCTION'))
      .map((to) => ({ from, to, checks: [], approvals: 0, approverRoles: [] })),
  ),
  singleProduction: false,
  selfApproval: true,
};

function checkName(name: string): void {
  if (/[/:]/.test(name) || !isPlainPath(name)) {
    throw invalid(`Invalid model name '${name.slice(0, 300)}'. Names cannot contain '/' or ':'.`);
  }
}

const byName = message({ name: needed(text) });

/** The calls on registered models. */
export const registeredModelCalls: readonly Call[] = [
  call(
    'POST',
    'registered-models/create',
    message({ name: needed(text), tags: list(pair), description: text }),
    async ({ name, tags = [], description = '' }, { services }) => {
      checkName(name);
      try {
        const model = await services.registry.createModel({
          ...{ name, description, policy: mlflowStagePolicy },
          tags: Object.fromEntries(tags.map(({ key, value }) => [key, value])),
        });
        return { registered_model: await modelToWire(services, model) };
      } catch (error) {
        if (!isKeelsonError(error, 'CONFLICT')) throw error;
        const why = `Registered Model (name=${name}) already exists. ${error.message}`;
        throw refusal('RESOURCE_ALREADY_EXISTS', why, error);
      }
    },
  ),
  call('GET', 'registered-models/get', byName, async ({ name }, { services }) => ({
    registered_model: await modelToWire(services, await modelOf(services, name)),
  })),
  call(
    'PATCH',
    'registered-models/update',
    message({ name: needed(text), description: text }),
    async ({ name, description = '' }, { services }) => {
      await modelOf(services, name);
      const model = await services.registry.updateModel(name, { description });
      return { registered_model: await modelToWire(services, model) };
    },
  ),
  call(
    'POST',
    'registered-models/rename',
    message({ name: needed(text), new_name: text }),
    async () => {
      throw refusal(
        'NOT_IMPLEMENTED',
        'Models keep their names here: references, policies and the audit trail go by them. Register under the new name, and delete the old one.',
      );
    },
  ),
  call('DELETE', 'registered-models/delete', byName, async ({ name }, { services }) => {
    await modelOf(services, name);
    await services.registry.deleteModel(name, { reason: 'deleted by a client of MLflow' });
    return {};
  }),
  call(
    'GET',
    'registered-models/search',
    message({ filter: text, max_results: int64, order_by: list(text), page_token: text }),
    async (asked, { services }) => {
      const { order_by: orders = [], page_token: token = '' } = asked;
      const limit = checkMaxResults(asked.max_results, 100, 1_000);
      const filter = translateFilter(asked.filter, modelWords);
      const orderBy = translateOrders(orders, modelWords);
      const { models, cursor } = await searching(() =>
        services.registry.searchModels({
          ...{ filter, limit },
          ...(orderBy.length === 0 ? {} : { orderBy }),
          ...(token === '' ? {} : { cursor: token }),
        }),
      );
      const found: object[] = [];
      for (const model of models as readonly Model[])
        found.push(await modelToWire(services, model));
      return set({ registered_models: found, next_page_token: cursor });
    },
  ),
  call(
    'POST GET',
    'registered-models/get-latest-versions',
    message({ name: needed(text), stages: list(text) }),
    async ({ name, stages = [] }, { services }) => {
      await modelOf(services, name);
      const of = stages.length === 0 ? undefined : stages.map(stageOf);
      const versions = await services.registry.listVersions(name);
      return set({ model_versions: newestOfStages(versions, of).map(versionToWire) });
    },
  ),
  call(
    'POST',
    'registered-models/set-tag',
    message({ name: needed(text), key: needed(text), value: text }),
    async ({ name, key, value = '' }, { services }) => {
      await modelOf(services, name);
      await services.registry.updateModel(name, { tags: { [key]: value } });
      return {};
    },
  ),
  call(
    'DELETE',
    'registered-models/delete-tag',
    message({ name: needed(text), key: needed(text) }),
    async ({ name, key }, { services }) => {
      await modelOf(services, name);
      await services.registry.updateModel(name, { tags: { [key]: null } });
      return {};
    },
  ),
  call(
    'POST',
    'registered-models/alias',
    message({ name: needed(text), alias: needed(text), version: needed(text) }),
    async ({ name, alias, version }, { services }) => {
      const found = await versionOf(services, name, version);
      await services.registry.setAlias(name, alias, found.version);
      return {};
    },
  ),
  call(
    'DELETE',
    'registered-models/alias',
    message({ name: needed(text), alias: needed(text) }),
    async ({ name, alias }, { services }) => {
      const { aliases } = await modelOf(services, name);
      // MLflow says nothing of an alias that is none.
      if (Object.hasOwn(aliases, alias)) await services.registry.removeAlias(name, alias);
      return {};
    },
  ),
  call(
    'GET',
    'registered-models/alias',
    message({ name: needed(text), alias: needed(text) }),
    async ({ name, alias }, { services }) => {
      const { aliases } = await modelOf(services, name);
      const id = Object.hasOwn(aliases, alias) ? aliases[alias] : undefined;
      if (id === undefined)
        throw invalid(`Registered model alias ${alias.slice(0, 300)} not found.`);
      return { model_version: versionToWire(await services.registry.getVersionById(id)) };
    },
  ),
];
