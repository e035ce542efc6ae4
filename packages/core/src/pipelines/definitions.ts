import semver from 'semver';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { commitChanges } from '../operations/decide-and-commit.ts';
import { type PipelineDefinition, runsOn } from './definition.ts';
import { dependentsOf } from './step-graph.ts';

/** A definition with what is asked of it again and again. */
export interface LoadedDefinition {
  readonly definition: PipelineDefinition;
  readonly digest: string;
  readonly steps: ReadonlyMap<string, PipelineDefinition['steps'][number]>;
  readonly dependents: ReadonlyMap<string, readonly string[]>;
  /** All that its steps run on, as their records say it. */
  readonly places: ReadonlySet<string>;
}

/** The stored definitions of a workspace; they never change, so that each is read once. */
export interface Definitions {
  /** Stores it unless it is there. CONFLICT when its name and version have another definition. */
  put(definition: PipelineDefinition, digest: string): Promise<LoadedDefinition>;
  /** NOT_FOUND when there is none. */
  get(digest: string): Promise<LoadedDefinition>;
  /** The version named, or the highest one. NOT_FOUND when there is none. */
  find(name: string, version?: string): Promise<LoadedDefinition>;
}

/** The stored definitions of the scope's workspace. */
export function createDefinitions(
  scope: Scope,
  /** Told of each definition that is the highest of its name, once in this process. */
  newest: (definition: PipelineDefinition) => Promise<void> = async () => undefined,
): Definitions {
  const { metadata, workspace } = scope;
  const known = new Map<string, LoadedDefinition>();
  const stored = new Set<string>();

  function load(digest: string, definition: PipelineDefinition): LoadedDefinition {
    let loaded = known.get(digest);
    if (loaded === undefined) {
      if (definition.format !== 1) {
        throw new KeelsonError(
          'INCOMPATIBLE',
          `Pipeline ${definition.name}@${definition.version} was stored by a newer Keelson (format ${definition.format}); update this one.`,
        );
      }
      const steps = new Map(definition.steps.map((step) => [step.name, step]));
      loaded = {
        ...{ definition, digest, steps },
        dependents: dependentsOf(definition.steps),
        places: new Set(definition.steps.map((step) => runsOn(step, digest))),
      };
      known.set(digest, loaded);
    }
    return loaded;
  }

  async function read(name: string, version?: string) {
    const { records } = await metadata.query(workspace, 'pipeline', {
      where: {
        op: 'and',
        of: [
          { op: 'compare', left: { from: 'column', name: 'name' }, cmp: '=', value: name },
          ...(version === undefined
            ? []
            : [
                {
                  op: 'compare' as const,
                  left: { from: 'column' as const, name: 'version' },
                  cmp: '=' as const,
                  value: version,
                },
              ]),
        ],
      },
      limit: 1000,
    });
    return records;
  }

  async function create(definition: PipelineDefinition, digest: string): Promise<void> {
    const { name, version } = definition;
    try {
      await commitChanges(scope, [
        {
          op: 'create',
          kind: 'pipeline',
          id: scope.ids.next(),
          columns: { name, version, digest, createdBy: scope.principal.id, active: true },
          body: definition as unknown as JsonObject,
        },
      ]);
    } catch (error) {
      if (!isKeelsonError(error, 'CONFLICT')) throw error;
      const [other] = await read(name, version);
      if (other?.columns['digest'] !== digest) throw differs(name, version, error);
    }
  }

  return {
    async put(definition, digest) {
      if (!stored.has(digest)) {
        const [same] = await read(definition.name, definition.version);
        if (same === undefined) await create(definition, digest);
        else if (same.columns['digest'] !== digest) {
          throw differs(definition.name, definition.version);
        }
        const all = await read(definition.name);
        const higher = all.some(({ columns }) =>
          semver.gt(columns['version'] as string, definition.version),
        );
        if (!higher) await newest(definition);
        stored.add(digest);
      }
      return load(digest, definition);
    },

    async get(digest) {
      const loaded = known.get(digest);
      if (loaded !== undefined) return loaded;
      const left = { from: 'column', name: 'digest' } as const;
      const where = { op: 'compare', left, cmp: '=', value: digest } as const;
      const { records } = await metadata.query(workspace, 'pipeline', { where, limit: 1 });
      if (records[0] === undefined) {
        throw new KeelsonError('NOT_FOUND', `There is no pipeline with the digest ${digest}.`);
      }
      return load(digest, records[0].body as unknown as PipelineDefinition);
    },

    async find(name, version) {
      const records = await read(name, version);
      const newest = records.toSorted((a, b) =>
        semver.rcompare(a.columns['version'] as string, b.columns['version'] as string),
      )[0];
      if (newest === undefined) {
        const which = version === undefined ? name : `${name}@${version}`;
        throw new KeelsonError(
          'NOT_FOUND',
          `There is no pipeline ${which} in workspace ${workspace}; register it with pipelines.add(definePipeline(…)).`,
          { details: { pipeline: name, version } },
        );
      }
      const definition = newest.body as unknown as PipelineDefinition;
      return load(newest.columns['digest'] as string, definition);
    },
  };
}

/** What a taken name and version with another definition is refused with. */
export function differs(name: string, version: string, cause?: unknown): KeelsonError {
  return new KeelsonError(
    'CONFLICT',
    `Pipeline ${name}@${version} already has another definition (other steps, inputs, retries, parameters or description); definitions are immutable: give yours a new version.`,
    { cause, details: { pipeline: name, version } },
  );
}
