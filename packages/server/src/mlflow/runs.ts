import {
  isKeelsonError,
  type Run,
  type RunSearch,
  type Services,
  type SourceType,
} from '@keelson/core';
import { type Call, type CallContext, call } from './call.ts';
import {
  int64,
  list,
  message,
  missingValue,
  needed,
  oneOf,
  pair,
  type Reader,
  set,
  text,
} from './encoding.ts';
import { invalid, missing } from './errors.ts';
import { defaultId, experimentOf, knownExperiments, viewType } from './experiments.ts';
import { checkKey, checkMaxResults } from './names.ts';
import { noRun, notActive } from './run-handles.ts';
import {
  experimentIds,
  nameTag,
  parentTag,
  runInfo,
  runsToWire,
  statusNames,
  userTag,
} from './run-wire.ts';
import { runWords, searching, translateFilter, translateOrders } from './search.ts';

/** Reads a request with the id of a run, under either of its names. */
export function ofRun<
  T extends { readonly run_id?: string | undefined; readonly run_uuid?: string | undefined },
>(reader: Reader<T>): Reader<T & { readonly run_id: string }> {
  return (value, at) => {
    const fields = reader(value, at);
    const { run_id: id = '', run_uuid: uuid = '' } = fields;
    const given = id === '' ? uuid : id;
    if (given === '') throw missingValue('run_id');
    return { ...fields, run_id: given };
  };
}

/** The run, deleted ones too. */
export async function runOf({ tracking }: Services, id: string): Promise<Run> {
  const run = await tracking.findRun(id);
  if (run === undefined) throw noRun(id);
  return run;
}

async function activeRun(services: Services, id: string): Promise<Run> {
  const run = await runOf(services, id);
  if (run.lifecycle === 'deleted') throw notActive(id);
  return run;
}

const ended = { FINISHED: 'COMPLETED', FAILED: 'FAILED', KILLED: 'KILLED' } as const;
const byId = ofRun(message({ run_id: text, run_uuid: text }));

/** Sets tags; those that are fields here change the fields. */
export async function setTags(
  { tracking }: Services,
  runId: string,
  tags: readonly { readonly key: string; readonly value: string }[],
): Promise<void> {
  const all = Object.fromEntries(tags.map(({ key, value }) => [key, cut(key, value)]));
  const { [nameTag]: name, ...rest } = all;
  const change = set({ name: name === '' ? undefined : name, description: noteIn(rest) });
  if (Object.keys(change).length > 0) await tracking.updateRun(runId, change);
  if (Object.keys(rest).length > 0) await tracking.setRunTags(runId, rest);
}

const longestNote = 2_048;

/** What a run is described by; a note that is too long is a tag alone. */
export function noteIn(tags: Readonly<Record<string, string>>): string | undefined {
  const note = tags['mlflow.note.content'];
  return note !== undefined && note.length <= longestNote ? note : undefined;
}

const longestTag = 8_000;
const longestSystemTag = 100_000;

/** As MLflow has it, what is too long is cut; what its clients set by themselves may be longer. */
export function cut(key: string, value: string): string {
  const most = key.startsWith('mlflow.') ? longestSystemTag : longestTag;
  // Between characters, never within one.
  return value.length <= most ? value : value.slice(0, most).toWellFormed();
}

async function createRun(
  asked: {
    readonly experiment_id: string | undefined;
    readonly user_id: string | undefined;
    readonly run_name: string | undefined;
    readonly start_time: number | undefined;
    readonly tags: readonly { readonly key: string; readonly value: string }[] | undefined;
  },
  { services }: CallContext,
): Promise<object> {
  const { experiment_id: id = '', user_id: user = '', run_name: runName = '', tags = [] } = asked;
  const experiment = await experimentOf(services, id === '' ? defaultId : id);
  if (experiment.lifecycle === 'deleted') {
    throw invalid(`The experiment ${id} must be in the 'active' state. Current state is deleted.`);
  }
  tags.forEach(({ key }, i) => {
    checkKey(key, `tags[${i}].key`);
  });
  const given = Object.fromEntries(tags.map(({ key, value }) => [key, cut(key, value)]));
  const { [nameTag]: tagged = '', ...kept } = given;
  if (runName !== '' && tagged !== '' && runName !== tagged) {
    throw invalid(
      `Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values (run_name='${runName}', mlflow.runName='${tagged}').`,
    );
  }
  const name = runName === '' ? tagged : runName;
  const parent = given[parentTag];
  const hasParent = parent !== undefined && (await services.tracking.findRun(parent)) !== undefined;
  const { id: runId } = await services.tracking.startRun({
    experiment: experiment.id,
    tags: user === '' || kept[userTag] !== undefined ? kept : { ...kept, [userTag]: user },
    sourceType: sourceTypeOf(given['mlflow.source.type']),
    ...{ systemMetrics: false, environment: false },
    ...set({
      name: name === '' ? undefined : name,
      parentRunId: hasParent ? parent : undefined,
      startedAt: asked.start_time,
      description: noteIn(given),
    }),
  });
  const [run] = await runsToWire(services, [await runOf(services, runId)]);
  return { run };
}

/** Ours of MLflow's. */
export function sourceTypeOf(given: string | undefined): SourceType {
  return given === 'NOTEBOOK' ? 'NOTEBOOK' : given === 'JOB' ? 'PIPELINE' : 'SCRIPT';
}

async function updateRun(
  asked: {
    readonly run_id: string;
    readonly status: (typeof statusNames)[number] | undefined;
    readonly end_time: number | undefined;
    readonly run_name: string | undefined;
  },
  { services, runs }: CallContext,
): Promise<object> {
  const { run_id: id, status, end_time: endedAt, run_name: name = '' } = asked;
  const { tracking } = services;
  const run = await activeRun(services, id);
  if (name !== '' && name !== run.name) await tracking.updateRun(id, { name });
  if (status === 'RUNNING' || status === 'SCHEDULED') {
    if (run.status !== 'RUNNING') await tracking.resumeRun(id, { systemMetrics: false });
  } else if (status !== undefined && ended[status] !== run.status) {
    const handle = await runs.get(services, id);
    const end = set({ endedAt });
    try {
      await handle.finish(ended[status], undefined, end);
    } catch (error) {
      // It has ended otherwise: MLflow lets it end anew.
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
      await (await tracking.resumeRun(id, { systemMetrics: false })).finish(
        ended[status],
        undefined,
        end,
      );
    }
  }
  if (status !== undefined) runs.forget(services, id);
  const [now, wireIdOf] = await Promise.all([runOf(services, id), experimentIds(services)]);
  return { run_info: runInfo(now, wireIdOf(now.experimentId)) };
}

async function searchRuns(
  asked: {
    readonly experiment_ids: readonly string[] | undefined;
    readonly filter: string | undefined;
    readonly run_view_type: 'ACTIVE_ONLY' | 'DELETED_ONLY' | 'ALL' | undefined;
    readonly max_results: number | undefined;
    readonly order_by: readonly string[] | undefined;
    readonly page_token: string | undefined;
  },
  { services }: CallContext,
): Promise<object> {
  const {
    run_view_type: view = 'ACTIVE_ONLY',
    page_token: token = '',
    order_by: orders = [],
  } = asked;
  const most = checkMaxResults(asked.max_results, 1_000, 50_000);
  const filter = translateFilter(asked.filter, runWords);
  const orderBy = translateOrders(orders, runWords);
  const experiments = await knownExperiments(services, asked.experiment_ids ?? []);
  if (experiments.length === 0) return {};
  const search: RunSearch = {
    experiment: experiments,
    filter,
    lifecycle: ({ ACTIVE_ONLY: 'active', DELETED_ONLY: 'deleted', ALL: 'all' } as const)[view],
    ...(orderBy.length === 0 ? {} : { orderBy: byStart(orderBy) }),
  };
  const found: object[] = [];
  let cursor = token === '' ? undefined : token;
  do {
    const limit = Math.min(1_000, most - found.length);
    const from = cursor === undefined ? {} : { cursor };
    const page = await searching(() => services.tracking.searchRuns({ ...search, ...from, limit }));
    found.push(...(await runsToWire(services, page.runs)));
    cursor = page.cursor;
  } while (cursor !== undefined && found.length < most);
  return set({ runs: found, next_page_token: cursor });
}

/** Equal ones: the newest first. */
function byStart(orderBy: readonly string[]): readonly string[] {
  const named = orderBy.some((order) => order.startsWith('start_time '));
  return named ? orderBy : [...orderBy, 'start_time DESC'];
}

/** The calls on runs, but for what is logged to them. */
export const runCalls: readonly Call[] = [
  call(
    'POST',
    'runs/create',
    message({
      ...{ experiment_id: text, user_id: text, run_name: text },
      ...{ start_time: int64, tags: list(pair) },
    }),
    createRun,
  ),
  call(
    'POST',
    'runs/update',
    ofRun(
      message({
        ...{ run_id: text, run_uuid: text, status: oneOf(...statusNames) },
        ...{ end_time: int64, run_name: text },
      }),
    ),
    updateRun,
  ),
  call('GET', 'runs/get', byId, async ({ run_id: id }, { services }) => {
    const [run] = await runsToWire(services, [await runOf(services, id)]);
    return { run };
  }),
  call('POST', 'runs/delete', byId, async ({ run_id: id }, { services, runs }) => {
    await runOf(services, id);
    await services.tracking.deleteRun(id);
    runs.forget(services, id);
    return {};
  }),
  call('POST', 'runs/restore', byId, async ({ run_id: id }, { services }) => {
    await runOf(services, id);
    await services.tracking.restoreRun(id);
    return {};
  }),
  call(
    'POST',
    'runs/search',
    message({
      ...{ experiment_ids: list(text), filter: text, run_view_type: viewType },
      ...{ max_results: int64, order_by: list(text), page_token: text },
    }),
    searchRuns,
  ),
  call(
    'POST',
    'runs/set-tag',
    ofRun(message({ run_id: text, run_uuid: text, key: needed(text), value: text })),
    async ({ run_id: id, key, value = '' }, { services }) => {
      checkKey(key, 'key');
      await activeRun(services, id);
      await setTags(services, id, [{ key, value }]);
      return {};
    },
  ),
  call(
    'POST',
    'runs/delete-tag',
    ofRun(message({ run_id: text, run_uuid: text, key: needed(text) })),
    async ({ run_id: id, key }, { services }) => {
      const { tags } = await activeRun(services, id);
      if (!Object.hasOwn(tags, key)) throw missing(`No tag with name: ${key} in run with id ${id}`);
      await services.tracking.removeRunTags(id, [key]);
      return {};
    },
  ),
];
