import {
  isKeelsonError,
  type ModelVersion,
  type RegisterOptions,
  type Services,
  type Stage,
} from '@keelson/core';
import { type Call, type CallContext, call } from './call.ts';
import { bool, int64, list, message, needed, pair, set, text } from './encoding.ts';
import { invalid, refusal } from './errors.ts';
import { checkMaxResults } from './names.ts';
import { searching, translateFilter, translateOrders, versionWords } from './search.ts';
import { sourceOf } from './version-source.ts';
import {
  linkTag,
  modelIdTag,
  modelOf,
  sourceTag,
  stageOf,
  versionOf,
  versionToWire,
  versionUri,
} from './version-wire.ts';

interface NewVersion {
  readonly name: string;
  readonly source: string;
  readonly run_id: string | undefined;
  readonly tags: readonly { readonly key: string; readonly value: string }[] | undefined;
  readonly run_link: string | undefined;
  readonly description: string | undefined;
  readonly model_id: string | undefined;
}

/** Registrations of one model follow one another: each is to get a number of its own. */
const turns = new Map<string, Promise<unknown>>();

function inTurn<T>(name: string, work: () => Promise<T>): Promise<T> {
  const before = turns.get(name) ?? Promise.resolve();
  const turn = before.then(work, work);
  const settled = turn.then(
    () => undefined,
    () => undefined,
  );
  turns.set(name, settled);
  void settled.then(() => {
    if (turns.get(name) === settled) turns.delete(name);
  });
  return turn;
}

async function create(asked: NewVersion, { services }: CallContext): Promise<object> {
  const { name, source, run_id: runId = '', description = '', run_link: link = '' } = asked;
  await modelOf(services, name);
  const { from, modelId, isPointer } = await sourceOf(services, source);
  const id = modelId ?? asked.model_id ?? '';
  const hasRun = runId !== '' && (await services.tracking.findRun(runId)) !== undefined;
  const options: RegisterOptions = {
    ...{ model: name, from, description },
    tags: {
      ...Object.fromEntries((asked.tags ?? []).map(({ key, value }) => [key, value])),
      [sourceTag]: source,
      ...(id === '' ? {} : { [modelIdTag]: id }),
      ...(link === '' ? {} : { [linkTag]: link }),
    },
    ...(isPointer === true ? { format: 'CUSTOM' } : {}),
    ...(isPointer === true && hasRun ? { lineage: { sourceRunId: runId } } : {}),
  };
  const key = `${services.workspace}\0${name}`;
  const version = await inTurn(key, () => registerNext(services, options));
  return { model_version: versionToWire(version) };
}

/** MLflow gives each registration a number of its own, also where nothing has changed: its semver says so. */
async function registerNext(services: Services, options: RegisterOptions): Promise<ModelVersion> {
  const { registry } = services;
  const search = { model: options.model, includeDeleted: true, orderBy: ['number DESC'], limit: 1 };
  for (let attempt = 0; ; attempt += 1) {
    const { versions } = await registry.searchVersions(search);
    const version = `${(versions[0]?.number ?? 0) + 1}.${attempt}.0`;
    try {
      return await withFormat(services, { ...options, version });
    } catch (error) {
      // Others have taken the semver.
      const isTaken = isKeelsonError(error, 'CONFLICT') && error.details['expected'] === true;
      if (!isTaken || attempt === 20) throw error;
    }
  }
}

/** Files that do not tell their format are a format of their own. */
async function withFormat({ registry }: Services, options: RegisterOptions): Promise<ModelVersion> {
  try {
    return await registry.register(options);
  } catch (error) {
    if (!isKeelsonError(error, 'INVALID') || options.format !== undefined) throw error;
    return registry.register({ ...options, format: 'CUSTOM' });
  }
}

async function transition(
  asked: {
    readonly name: string;
    readonly version: string;
    readonly stage: string;
    readonly archive_existing_versions: boolean | undefined;
  },
  { services }: CallContext,
): Promise<object> {
  const { name, version: number, archive_existing_versions: archive = false } = asked;
  const to = stageOf(asked.stage);
  if (archive && to !== 'STAGING' && to !== 'PRODUCTION') {
    throw invalid(
      'Model version transition cannot archive existing model versions because the target stage is not one of Staging and Production.',
    );
  }
  const version = await versionOf(services, name, number);
  await move(services, version, to);
  if (archive) {
    const all = await services.registry.listVersions(name);
    for (const each of all) {
      if (each.stage === to && each.id !== version.id) await move(services, each, 'ARCHIVED');
    }
  }
  return { model_version: versionToWire(await services.registry.getVersionById(version.id)) };
}

/** Moves a version as the model's policy lets it. PERMISSION_DENIED where others have to approve first. */
async function move(
  { registry }: Services,
  { model, version, stage }: ModelVersion,
  to: Stage,
): Promise<void> {
  if (stage === to) return;
  const reason = 'asked by a client of MLflow';
  const asked = await registry.requestTransition({ model, version, to, reason, confirm: true });
  if (asked.status === 'DONE' || asked.status === 'APPLYING') return;
  if (asked.status === 'PENDING') {
    throw refusal(
      'PERMISSION_DENIED',
      `The policy of ${model} asks for approval: transition ${asked.id} of version ${version} to ${to} waits for it.`,
    );
  }
  const failed = asked.checks.filter(({ passed }) => !passed);
  const why = failed.map(({ name, detail }) => `${name}: ${detail}`).join('; ');
  throw invalid(
    `Version ${version} of ${model} does not pass what its policy asks for ${to}: ${why || asked.ended || asked.status}.`,
  );
}

async function search(
  asked: {
    readonly filter: string | undefined;
    readonly max_results: number | undefined;
    readonly order_by: readonly string[] | undefined;
    readonly page_token: string | undefined;
  },
  { services }: CallContext,
): Promise<object> {
  const { order_by: orders = [], page_token: token = '' } = asked;
  const most = checkMaxResults(asked.max_results, 10_000, 200_000);
  const filter = translateFilter(asked.filter, versionWords);
  const given = translateOrders(orders, versionWords);
  const orderBy = given.length === 0 ? ['name ASC', 'number DESC'] : given;
  const found: object[] = [];
  let cursor = token === '' ? undefined : token;
  do {
    const limit = Math.min(1_000, most - found.length);
    const from = cursor === undefined ? {} : { cursor };
    const page = await searching(() =>
      services.registry.searchVersions({ filter, orderBy, limit, ...from }),
    );
    found.push(...page.versions.map(versionToWire));
    cursor = page.cursor;
  } while (cursor !== undefined && found.length < most);
  return set({ model_versions: found, next_page_token: cursor });
}

const byNumber = { name: needed(text), version: needed(text) };

/** The calls on versions of registered models. */
export const modelVersionCalls: readonly Call[] = [
  call(
    'POST',
    'model-versions/create',
    message({
      ...{ name: needed(text), source: needed(text), run_id: text, tags: list(pair) },
      ...{ run_link: text, description: text, model_id: text },
    }),
    create,
  ),
  call('GET', 'model-versions/get', message(byNumber), async ({ name, version }, { services }) => ({
    model_version: versionToWire(await versionOf(services, name, version)),
  })),
  call(
    'PATCH',
    'model-versions/update',
    message({ ...byNumber, description: text }),
    async ({ name, version, description = '' }, { services }) => {
      const { id } = await versionOf(services, name, version);
      const changed = await services.registry.updateVersion(id, { description });
      return { model_version: versionToWire(changed) };
    },
  ),
  call(
    'POST',
    'model-versions/transition-stage',
    message({ ...byNumber, stage: needed(text), archive_existing_versions: bool }),
    transition,
  ),
  call(
    'DELETE',
    'model-versions/delete',
    message(byNumber),
    async ({ name, version }, { services }) => {
      const found = await versionOf(services, name, version);
      const reason = 'deleted by a client of MLflow';
      await services.registry.deleteVersion(name, found.version, { reason });
      return {};
    },
  ),
  call(
    'GET',
    'model-versions/search',
    message({ filter: text, max_results: int64, order_by: list(text), page_token: text }),
    search,
  ),
  call(
    'GET',
    'model-versions/get-download-uri',
    message(byNumber),
    async ({ name, version }, { services }) => ({
      artifact_uri: versionUri(await versionOf(services, name, version)),
    }),
  ),
  call(
    'POST',
    'model-versions/set-tag',
    message({ ...byNumber, key: needed(text), value: text }),
    async ({ name, version, key, value = '' }, { services }) => {
      const { id } = await versionOf(services, name, version);
      await services.registry.updateVersion(id, { tags: { [key]: value } });
      return {};
    },
  ),
  call(
    'DELETE',
    'model-versions/delete-tag',
    message({ ...byNumber, key: needed(text) }),
    async ({ name, version, key }, { services }) => {
      const { id } = await versionOf(services, name, version);
      await services.registry.updateVersion(id, { tags: { [key]: null } });
      return {};
    },
  ),
];
