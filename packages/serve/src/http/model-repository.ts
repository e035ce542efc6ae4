import type { Datatype, TensorSpec } from '@keelson/core';
import type { DeploymentHost } from '../hosting/deployment-host.ts';
import type { VersionCounts } from '../hosting/inference-counts.ts';
import type { LoadedVersion } from '../hosting/loaded-version.ts';
import { describeValue } from '../protocol/elements.ts';
import { readJsonBody, readObject, readParameters } from '../protocol/json-body.ts';
import { malformed, refusal } from '../protocol/refusal.ts';

/** The parameters of a repository request, whose body may be empty. INVALID (400) for a malformed one. */
function parametersOf(body: Uint8Array): ReturnType<typeof readParameters> {
  if (body.byteLength === 0) return {};
  return readJsonBody(body, (value) =>
    readParameters(readObject(value, 'body').parameters, 'parameters'),
  );
}

/** What `POST v2/repository/index` answers: each version of each deployment; with `{"ready": true}` those that answer. */
export function repositoryIndex(
  hosts: Iterable<DeploymentHost>,
  body: Uint8Array,
): readonly object[] {
  const ready =
    body.byteLength === 0
      ? undefined
      : readJsonBody(body, (value) => readObject(value, 'body').ready);
  if (ready !== undefined && typeof ready !== 'boolean') {
    throw malformed('ready', 'true or false', describeValue(ready));
  }
  const entries = [...hosts].flatMap(indexOf);
  return ready === true ? entries.filter(({ state }) => state === 'READY') : entries;
}

function indexOf(host: DeploymentHost): { readonly state: string }[] {
  const { versions, error } = host.status();
  if (versions.length === 0) {
    const reason = host.isUnloaded ? 'unloaded' : (error?.message ?? 'loading');
    return [{ name: host.deployment, state: 'UNAVAILABLE', reason } as { state: string }];
  }
  return versions.map(({ version, replicas }) => ({
    name: host.deployment,
    version,
    state: replicas.length > 0 ? 'READY' : 'UNAVAILABLE',
    reason: '',
  }));
}

/**
 * Loads or unloads a deployment in this process, as Triton's repository extension has it. FORBIDDEN (403) unless
 * the server was opened with `modelControl: 'explicit'`; UNSUPPORTED (501) for a configuration or files brought along;
 * the deployment's own error when it does not come up.
 */
export async function controlModel(
  action: 'load' | 'unload',
  host: DeploymentHost,
  body: Uint8Array,
  control: 'none' | 'explicit',
): Promise<void> {
  if (control !== 'explicit') {
    throw refusal(
      403,
      'FORBIDDEN',
      `Callers may not ${action} models here; open the server with modelControl: 'explicit' to let them.`,
    );
  }
  const parameters = parametersOf(body);
  if (action === 'unload') {
    await host.unload();
    return;
  }
  const brought = Object.keys(parameters)[0];
  if (brought !== undefined) {
    throw refusal(
      501,
      'UNSUPPORTED',
      `Parameter ${JSON.stringify(brought.slice(0, 60))}: a deployment's files and configuration are those of the platform; load it without.`,
    );
  }
  await host.load();
}

/** What `GET …/stats` answers of some versions, as Triton's statistics extension has it. */
export function modelStatistics(
  versions: readonly { readonly deployment: string; readonly counts: VersionCounts }[],
): object {
  return { model_stats: versions.map(statisticsOf) };
}

function statisticsOf({
  deployment,
  counts,
}: {
  readonly deployment: string;
  readonly counts: VersionCounts;
}): object {
  const of = (count: number, ms: number): object => ({ count, ns: Math.round(ms * 1e6) });
  const { version, answered, failed, rows, lastAt } = counts;
  return {
    name: deployment,
    version,
    last_inference: lastAt,
    inference_count: rows,
    execution_count: answered,
    inference_stats: {
      success: of(answered, counts.answeredMs),
      fail: of(failed, counts.failedMs),
      queue: of(answered, counts.queueMs),
      compute_input: of(0, 0),
      compute_infer: of(answered, counts.inferenceMs),
      compute_output: of(0, 0),
      cache_hit: of(0, 0),
      cache_miss: of(0, 0),
    },
    batch_stats: [],
  };
}

/** What `GET …/config` answers, as Triton's model configuration extension has it: shapes without the rows. */
export function modelConfiguration(
  deployment: string,
  { model }: LoadedVersion,
  maxRows: number,
): object {
  const { inputs, outputs } = model.signature;
  const isBatched = [...inputs, ...outputs].every(({ shape }) => shape[0] === -1);
  const describe = ({ name, datatype, shape }: TensorSpec): object => ({
    name,
    data_type: dataTypeOf(datatype),
    dims: isBatched ? shape.slice(1) : shape,
  });
  return {
    name: deployment,
    platform: '',
    backend: 'keelson',
    max_batch_size: isBatched ? maxRows : 0,
    input: inputs.map(describe),
    output: outputs.map(describe),
  };
}

function dataTypeOf(datatype: Datatype): string {
  return `TYPE_${datatype === 'BYTES' ? 'STRING' : datatype}`;
}
