import { dirname, join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { KeelsonError } from '@keelson/core';
import { ArtifactRoots } from './artifact-roots.ts';
import {
  type MlflowSource,
  pointsAtOnce,
  type SourceContext,
  type SourceLoggedModel,
  type SourceModel,
  type SourceRun,
  type SourceStatus,
  type Texts,
} from './source.ts';

// What a foreign database answers.
type Row = Readonly<Record<string, unknown>>;

const modelStates: Readonly<Record<string, SourceLoggedModel['status']>> = {
  ...{ '1': 'PENDING', '2': 'READY', '3': 'FAILED' },
};

/**
 * A database as MLflow's SQL store has it in SQLite (`mlflow.db`), read only: a server may go on using it. INVALID for a
 * file that is none, and for one of a version without what is needed.
 */
export async function openSqliteStore(
  path: string,
  artifacts: readonly string[],
  { notes, signal }: SourceContext,
): Promise<MlflowSource> {
  const db = openDatabase(path);
  const home = dirname(path);
  const usual = [home, join(home, 'mlartifacts'), join(home, 'mlruns')];
  const roots = await ArtifactRoots.open([...artifacts, ...usual.slice(1), home], notes);
  const tables = new Set(rows("SELECT name FROM sqlite_master WHERE type = 'table'").map(nameOf));

  function rows(sql: string, ...values: readonly (string | number)[]): readonly Row[] {
    signal.throwIfAborted();
    return db.prepare(sql).all(...values) as Row[];
  }

  /** Rows of a table that newer versions have. */
  function rowsIn(table: string, sql: string, ...values: readonly (string | number)[]) {
    return tables.has(table) ? rows(sql, ...values) : [];
  }

  function texts(table: string, where: string, ...values: readonly (string | number)[]): Texts {
    const [key, value] =
      table === 'input_tags'
        ? ['name', 'value']
        : table === 'logged_model_params' || table === 'logged_model_tags'
          ? [modelKey(table), modelValue(table)]
          : ['key', 'value'];
    const found = rowsIn(
      table,
      `SELECT ${key} AS k, ${value} AS v FROM ${table} WHERE ${where}`,
      ...values,
    );
    return Object.fromEntries(found.map(({ k, v }) => [String(k), String(v ?? '')]));
  }

  function modelKey(table: string): string {
    return table.endsWith('params') ? 'param_key' : 'tag_key';
  }

  function modelValue(table: string): string {
    return table.endsWith('params') ? 'param_value' : 'tag_value';
  }

  function datasetsOf(run: string): SourceRun['datasets'] {
    const found = rowsIn(
      'inputs',
      `SELECT d.*, i.input_uuid FROM inputs i JOIN datasets d ON d.dataset_uuid = i.source_id
       WHERE i.source_type = 'DATASET' AND i.destination_type = 'RUN' AND i.destination_id = ?
       ORDER BY i.rowid`,
      run,
    );
    return found.map((row) => ({
      name: String(row['name']),
      digest: String(row['digest']),
      source_type: String(row['dataset_source_type'] ?? ''),
      source: String(row['dataset_source'] ?? ''),
      schema: textOf(row['dataset_schema']),
      profile: textOf(row['dataset_profile']),
      tags: texts('input_tags', 'input_uuid = ?', String(row['input_uuid'])),
    }));
  }

  function runOf(row: Row): SourceRun {
    const id = String(row['run_uuid']);
    const tags = texts('tags', 'run_uuid = ?', id);
    const inputs = rowsIn(
      'inputs',
      `SELECT destination_id AS id FROM inputs WHERE source_type = 'RUN_INPUT' AND source_id = ?`,
      id,
    );
    const outputs = rowsIn(
      'inputs',
      `SELECT destination_id AS id, step FROM inputs WHERE source_type = 'RUN_OUTPUT' AND source_id = ?`,
      id,
    );
    const keys = rows('SELECT DISTINCT key FROM metrics WHERE run_uuid = ? ORDER BY key', id);
    return {
      ...{ id, tags, name: textOf(row['name']) ?? tags['mlflow.runName'] },
      user: textOf(row['user_id']),
      status: String(row['status'] ?? 'FAILED') as SourceStatus,
      startedAt: numberOf(row['start_time']),
      endedAt: numberOf(row['end_time']),
      lifecycle: row['lifecycle_stage'] === 'deleted' ? 'deleted' : 'active',
      artifactUri: textOf(row['artifact_uri']),
      params: texts('params', 'run_uuid = ?', id),
      metricKeys: keys.map(({ key }) => String(key)),
      datasets: datasetsOf(id),
      inputModels: inputs.map((each) => String(each['id'])),
      outputModels: outputs.map((each) => ({
        modelId: String(each['id']),
        step: numberOf(each['step']) ?? 0,
      })),
    };
  }

  function loggedModelOf(row: Row): SourceLoggedModel {
    const id = String(row['model_id']);
    const points = rowsIn(
      'logged_model_metrics',
      'SELECT * FROM logged_model_metrics WHERE model_id = ? ORDER BY rowid',
      id,
    );
    return {
      ...{ id, name: String(row['name']), modelType: textOf(row['model_type']) },
      status: modelStates[String(row['status'])] ?? 'READY',
      runId: textOf(row['source_run_id']),
      artifactUri: textOf(row['artifact_location']),
      params: texts('logged_model_params', 'model_id = ?', id),
      tags: texts('logged_model_tags', 'model_id = ?', id),
      metrics: points.map((each) => ({
        key: String(each['metric_name']),
        value: doubleOf(each['metric_value'], undefined),
        step: numberOf(each['metric_step']) ?? 0,
        timestamp: numberOf(each['metric_timestamp_ms']) ?? 0,
        runId: textOf(each['run_id']),
        datasetName: textOf(each['dataset_name']),
        datasetDigest: textOf(each['dataset_digest']),
      })),
    };
  }

  function modelOf(row: Row): SourceModel {
    const name = String(row['name']);
    const aliases = rowsIn(
      'registered_model_aliases',
      'SELECT alias, version FROM registered_model_aliases WHERE name = ? ORDER BY alias',
      name,
    );
    const versions = rows('SELECT * FROM model_versions WHERE name = ? ORDER BY version', name);
    return {
      ...{ name, description: textOf(row['description']) },
      tags: texts('registered_model_tags', 'name = ?', name),
      aliases: Object.fromEntries(
        aliases.map(({ alias, version }) => [String(alias), String(version)]),
      ),
      versions: versions
        .filter((each) => each['current_stage'] !== 'Deleted_Internal')
        .map((each) => ({
          number: numberOf(each['version']) ?? 0,
          source: String(each['source'] ?? ''),
          storage: textOf(each['storage_location']),
          stage: String(each['current_stage'] ?? 'None'),
          description: textOf(each['description']),
          runId: textOf(each['run_id']),
          runLink: textOf(each['run_link']),
          modelId: modelIdOf(String(each['source'] ?? '')),
          createdAt: numberOf(each['creation_time']),
          tags: texts(
            'model_version_tags',
            'name = ? AND version = ?',
            name,
            numberOf(each['version']) ?? 0,
          ),
        })),
    };
  }

  /** Rows of a table, some at a time by their place: what is read is not held open. */
  async function* each(table: string, where: string, ...values: readonly string[]) {
    let after = 0;
    for (;;) {
      const some = rows(
        `SELECT rowid AS at, * FROM ${table} WHERE rowid > ? AND ${where} ORDER BY rowid LIMIT 200`,
        after,
        ...values,
      );
      yield* some;
      if (some.length < 200) return;
      after = Number(some.at(-1)?.['at']);
    }
  }

  return {
    label: path,

    async *experiments() {
      for await (const row of each('experiments', '1 = 1')) {
        const id = String(row['experiment_id']);
        yield {
          ...{ id, name: String(row['name']), createdAt: numberOf(row['creation_time']) },
          lifecycle: row['lifecycle_stage'] === 'deleted' ? 'deleted' : 'active',
          tags: texts('experiment_tags', 'experiment_id = ?', id),
        };
      }
    },

    async *runs({ id }) {
      for await (const row of each('runs', 'experiment_id = ?', id)) yield runOf(row);
    },

    async *loggedModels({ id }) {
      if (!tables.has('logged_models')) return;
      const where = "experiment_id = ? AND lifecycle_stage <> 'deleted'";
      for await (const row of each('logged_models', where, id)) yield loggedModelOf(row);
    },

    async *points(_experiment, run, key) {
      let after = 0;
      for (;;) {
        const some = rows(
          `SELECT rowid AS at, timestamp, value, step, is_nan FROM metrics
           WHERE run_uuid = ? AND key = ? AND rowid > ? ORDER BY rowid LIMIT ${pointsAtOnce}`,
          ...[run, key, after],
        );
        if (some.length > 0) {
          yield some.map((row) => ({
            value: doubleOf(row['value'], row['is_nan']),
            step: numberOf(row['step']) ?? 0,
            timestamp: numberOf(row['timestamp']) ?? 0,
          }));
        }
        if (some.length < pointsAtOnce) return;
        after = Number(some.at(-1)?.['at']);
      }
    },

    files: (owner) => roots.files(owner),

    async *models() {
      if (!tables.has('registered_models')) return;
      for await (const row of each('registered_models', '1 = 1')) yield modelOf(row);
    },

    close: () => db.close(),
  };
}

function openDatabase(path: string): DatabaseSync {
  const refuse = (why: string, cause?: unknown): KeelsonError =>
    new KeelsonError(
      'INVALID',
      `${path} is no database of MLflow: ${why}. Name the file that MLflow's backend store is, such as mlflow.db.`,
      { cause },
    );
  try {
    const db = new DatabaseSync(path, { readOnly: true, timeout: 5_000 });
    const found = db
      .prepare(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name IN ('experiments', 'runs', 'metrics', 'params', 'tags')",
      )
      .all();
    if (found.length === 5) return db;
    db.close();
  } catch (error) {
    throw refuse((error as Error).message, error);
  }
  throw refuse('it has no experiments and runs');
}

function nameOf(row: Row): string {
  return String(row['name']);
}

function textOf(value: unknown): string | undefined {
  return value === null || value === undefined || value === '' ? undefined : String(value);
}

function numberOf(value: unknown): number | undefined {
  const number = typeof value === 'number' ? value : Number(value ?? Number.NaN);
  return Number.isSafeInteger(number) ? number : undefined;
}

/** The store keeps NaN beside its values, and infinities as the greatest number there is. */
function doubleOf(value: unknown, isNan: unknown): number {
  if (isNan === 1 || isNan === true || value === null) return Number.NaN;
  const number = Number(value);
  if (Math.abs(number) < Number.MAX_VALUE) return number;
  return number > 0 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
}

/** The logged model that a source names. */
function modelIdOf(source: string): string | undefined {
  return /^models:\/+(m-[0-9a-f]{32})$/.exec(source)?.[1];
}
