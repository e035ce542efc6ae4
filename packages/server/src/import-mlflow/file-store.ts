import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { parentTag } from '../mlflow/run-wire.ts';
import { ArtifactRoots } from './artifact-roots.ts';
import { readLines } from './lines.ts';
import { type Meta, parseMeta } from './meta-yaml.ts';
import { SafeDirectory, type SafeEntry } from './safe-directory.ts';
import {
  integerIn,
  type MlflowSource,
  pointsAtOnce,
  pythonNumber,
  type SourceContext,
  type SourceDataset,
  type SourceLoggedModel,
  type SourceModelPoint,
  type SourcePoint,
  type SourceRun,
  type SourceStatus,
  type SourceVersion,
  type Texts,
} from './source.ts';

const mostMetaBytes = 40 * 2 ** 20;
const mostTextBytes = 2 ** 20;
const runStates: Readonly<Record<string, SourceStatus>> = {
  ...{ '1': 'RUNNING', '2': 'SCHEDULED', '3': 'FINISHED', '4': 'FAILED', '5': 'KILLED' },
};
const modelStates: Readonly<Record<string, SourceLoggedModel['status']>> = {
  ...{ '1': 'PENDING', '2': 'READY', '3': 'FAILED' },
};

/** A directory as MLflow's file store writes it (`mlruns`). Rejects as the file system does where there is none. */
export async function openFileStore(
  path: string,
  artifacts: readonly string[],
  { notes, signal }: SourceContext,
): Promise<MlflowSource> {
  const directory = await SafeDirectory.open(path, notes);
  const { root } = directory;
  const roots = await ArtifactRoots.open([root, join(root, '.trash'), ...artifacts], notes);
  /** Where experiments lie: deleted ones are moved. */
  const homes = new Map<string, string>();

  /** A `meta.yaml` that names what its directory is named after. */
  async function metaOf(
    of: SafeEntry,
    field?: string,
    alternative?: string,
  ): Promise<Meta | undefined> {
    signal.throwIfAborted();
    const at = join(of.path, 'meta.yaml');
    const text = await directory.text(at, mostMetaBytes);
    if (text === undefined) {
      notes.skip(directory.named(of.path), 'it has no meta.yaml');
      return undefined;
    }
    let meta: Meta;
    try {
      meta = parseMeta(text);
    } catch (error) {
      notes.skip(directory.named(at), `it cannot be read: ${(error as Error).message}`);
      return undefined;
    }
    const id = field === undefined ? of.name : (meta.text(field) ?? meta.text(alternative ?? ''));
    if (id === of.name) return meta;
    notes.skip(
      directory.named(at),
      `it says ${field} ${JSON.stringify(id ?? null).slice(0, 100)}, and its directory is ${of.name}`,
    );
    return undefined;
  }

  /** Key → text of each file below a directory. */
  async function texts(path: string): Promise<Texts> {
    const found: [string, string][] = [];
    for await (const file of directory.files(path)) {
      const text = await directory.text(file.path, mostTextBytes);
      if (text !== undefined) found.push([file.relative, text]);
    }
    return Object.fromEntries(found);
  }

  /** Directories whose names are ids. */
  async function children(path: string, pattern: RegExp): Promise<readonly SafeEntry[]> {
    const entries = await directory.list(path);
    return entries.filter(({ name, isDirectory }) => isDirectory && pattern.test(name));
  }

  async function datasetsOf(home: string, run: SafeEntry): Promise<readonly SourceDataset[]> {
    const found: SourceDataset[] = [];
    for (const entry of await children(join(run.path, 'inputs'), anyId)) {
      const input = await metaOf(entry);
      if (input?.text('source_type') !== 'DATASET') continue;
      const id = input.text('source_id') ?? '';
      if (!anyId.test(id)) {
        notes.skip(directory.named(entry.path), 'it names no dataset');
        continue;
      }
      const path = join(home, 'datasets', id);
      const meta = await metaOf({ name: id, path, isDirectory: true, sizeBytes: 0 });
      if (meta === undefined) continue;
      found.push({
        name: meta.text('name') ?? '',
        digest: meta.text('digest') ?? '',
        source_type: meta.text('source_type') ?? '',
        source: meta.text('source') ?? '',
        schema: meta.text('schema'),
        profile: meta.text('profile'),
        tags: input.map('tags'),
      });
    }
    return found;
  }

  async function linksOf(path: string): Promise<SourceRun['outputModels']> {
    const found: { modelId: string; step: number }[] = [];
    for (const entry of await children(path, modelId)) {
      const meta = await metaOf(entry);
      if (meta === undefined) continue;
      found.push({ modelId: entry.name, step: integerIn(meta.text('step')) ?? 0 });
    }
    return found;
  }

  async function* runsIn(home: string): AsyncGenerator<SourceRun, void, undefined> {
    for (const entry of await parentsFirst(await children(home, runId))) {
      const meta = await metaOf(entry, 'run_id', 'run_uuid');
      if (meta === undefined) continue;
      const tags = await texts(join(entry.path, 'tags'));
      const metricKeys: string[] = [];
      for await (const { relative } of directory.files(join(entry.path, 'metrics'))) {
        metricKeys.push(relative);
      }
      const inputs = await linksOf(join(entry.path, 'inputs'));
      yield {
        id: entry.name,
        name: meta.text('run_name') || tags['mlflow.runName'],
        user: meta.text('user_id'),
        status: runStates[meta.text('status') ?? ''] ?? 'FAILED',
        startedAt: integerIn(meta.text('start_time')),
        endedAt: integerIn(meta.text('end_time')),
        lifecycle: meta.text('lifecycle_stage') === 'deleted' ? 'deleted' : 'active',
        artifactUri: meta.text('artifact_uri'),
        params: await texts(join(entry.path, 'params')),
        tags,
        metricKeys,
        datasets: await datasetsOf(home, entry),
        inputModels: inputs.map(({ modelId: id }) => id),
        outputModels: await linksOf(join(entry.path, 'outputs')),
      };
    }
  }

  /** Runs that are nested in others come after those that are not. */
  async function parentsFirst(runs: readonly SafeEntry[]): Promise<readonly SafeEntry[]> {
    const nested: SafeEntry[] = [];
    const others: SafeEntry[] = [];
    for (const run of runs) {
      const isNested = await lstat(join(run.path, 'tags', parentTag)).then(
        () => true,
        () => false,
      );
      (isNested ? nested : others).push(run);
    }
    return [...others, ...nested];
  }

  /** Points line by line; what is broken is told of once for each file. */
  async function* pointLines(
    path: string,
  ): AsyncGenerator<{ readonly point: SourcePoint; readonly rest: readonly string[] }> {
    let broken = 0;
    let first = '';
    let number = 0;
    for await (const line of readLines(await directory.stream(path), signal)) {
      number += 1;
      if (line === '') continue;
      const [timestamp = '', value = '', step = '0', ...rest] = line.split(' ');
      const point = {
        ...{ timestamp: integerIn(timestamp) ?? Number.NaN, value: pythonNumber(value) },
        step: integerIn(step) ?? Number.NaN,
      };
      if (point.value !== undefined && point.timestamp >= 0 && !Number.isNaN(point.step)) {
        yield { point: point as SourcePoint, rest };
        continue;
      }
      broken += 1;
      first ||= `line ${number} is no point: ${JSON.stringify(line.slice(0, 60))}`;
    }
    if (broken === 0) return;
    const more = broken === 1 ? '' : `, and ${broken - 1} more`;
    notes.skip(directory.named(path), `${first}${more}; the other lines are imported`);
  }

  async function modelPoints(path: string): Promise<readonly SourceModelPoint[]> {
    const found: SourceModelPoint[] = [];
    for await (const file of directory.files(path)) {
      for await (const { point, rest } of pointLines(file.path)) {
        const [of, name, digest] = rest;
        found.push({
          ...{ key: file.relative, ...point, runId: of },
          ...{ datasetName: name, datasetDigest: digest },
        });
      }
    }
    return found;
  }

  async function versionOf(entry: SafeEntry): Promise<SourceVersion | undefined> {
    const meta = await metaOf(entry);
    const number = integerIn(/^version-(\d+)$/.exec(entry.name)?.[1]);
    const isDeleted = meta?.text('current_stage') === 'Deleted_Internal';
    if (meta === undefined || number === undefined || isDeleted) return undefined;
    return {
      number,
      source: meta.text('source') ?? '',
      storage: meta.text('storage_location'),
      stage: meta.text('current_stage') ?? 'None',
      description: meta.text('description'),
      runId: meta.text('run_id'),
      runLink: meta.text('run_link'),
      modelId: meta.text('model_id'),
      createdAt: integerIn(meta.text('creation_timestamp')),
      tags: await texts(join(entry.path, 'tags')),
    };
  }

  return {
    label: root,

    async *experiments() {
      const places = [
        ...(await children(root, experimentId)),
        ...(await children(join(root, '.trash'), experimentId)),
      ];
      for (const entry of places) {
        const meta = await metaOf(entry, 'experiment_id');
        const name = meta?.text('name');
        if (meta === undefined) continue;
        if (name === undefined) {
          notes.skip(directory.named(entry.path), 'its meta.yaml has no name');
          continue;
        }
        homes.set(entry.name, entry.path);
        yield {
          ...{ id: entry.name, name, tags: await texts(join(entry.path, 'tags')) },
          lifecycle: meta.text('lifecycle_stage') === 'deleted' ? 'deleted' : 'active',
          createdAt: integerIn(meta.text('creation_time')),
        };
      }
    },

    async *runs({ id }) {
      yield* runsIn(homes.get(id) ?? join(root, id));
    },

    async *loggedModels({ id }) {
      for (const entry of await children(
        join(homes.get(id) ?? join(root, id), 'models'),
        modelId,
      )) {
        const meta = await metaOf(entry, 'model_id');
        if (meta === undefined || meta.text('lifecycle_stage') === 'deleted') continue;
        yield {
          id: entry.name,
          name: meta.text('name') ?? entry.name,
          modelType: meta.text('model_type'),
          status: modelStates[meta.text('status') ?? ''] ?? 'READY',
          runId: meta.text('source_run_id'),
          artifactUri: meta.text('artifact_location'),
          params: await texts(join(entry.path, 'params')),
          tags: await texts(join(entry.path, 'tags')),
          metrics: await modelPoints(join(entry.path, 'metrics')),
        };
      }
    },

    async *points({ id }, run, key) {
      const path = join(homes.get(id) ?? join(root, id), run, 'metrics', ...key.split('/'));
      let some: SourcePoint[] = [];
      for await (const { point } of pointLines(path)) {
        some.push(point);
        if (some.length < pointsAtOnce) continue;
        yield some;
        some = [];
      }
      if (some.length > 0) yield some;
    },

    files: (owner) => roots.files(owner),

    async *models() {
      for (const entry of await children(join(root, 'models'), /./)) {
        const meta = await metaOf(entry, 'name');
        if (meta === undefined) continue;
        const versions: SourceVersion[] = [];
        for (const version of await children(entry.path, /^version-\d{1,15}$/)) {
          const found = await versionOf(version);
          if (found !== undefined) versions.push(found);
        }
        const aliases = await texts(join(entry.path, 'aliases'));
        yield {
          ...{ name: entry.name, description: meta.text('description') },
          tags: await texts(join(entry.path, 'tags')),
          aliases: Object.fromEntries(
            Object.entries(aliases).map(([name, number]) => [name, number.trim()]),
          ),
          versions: versions.toSorted((a, b) => a.number - b.number),
        };
      }
    },
  };
}

const experimentId = /^[0-9]{1,30}$/;
const runId = /^[0-9a-f]{32}$/;
const modelId = /^m-[0-9a-f]{32}$/;
const anyId = /^[0-9a-zA-Z-]{1,64}$/;
