import type { ModelFormat } from '../contracts/model-format.ts';
import type { ModelSignature } from '../contracts/model-runtime.ts';
import { canonicalJson, type Json } from '../json.ts';
import {
  type BaselineChange,
  changeBetween,
  type Difference,
  differences,
  flatFacts,
} from '../tracking/comparison.ts';
import type { MetricDirection } from '../tracking/metric-direction.ts';
import type { Run } from '../tracking/run.ts';
import type { LineageDataset, ModelVersion, Stage } from './model-version.ts';
import { signatureBreaks } from './signature-breaks.ts';

/** A version as it stands in a comparison. */
export interface ComparedVersion {
  readonly id: string;
  readonly model: string;
  readonly version: string;
  readonly stage: Stage;
  readonly format: ModelFormat;
  readonly sha256: string;
  readonly sizeBytes: number;
  /** Over the size of the baseline. */
  readonly sizeChangeBytes: number;
  readonly createdAt: number;
  readonly createdBy: string;
}

/** One metric in all versions that are compared. */
export interface ComparedVersionMetric {
  readonly name: string;
  /** Given with the call, defined for the name, or read off it; undefined where nobody knows. */
  readonly direction: MetricDirection | undefined;
  readonly values: readonly (number | undefined)[];
  /** The ids of those whose value no other's surpasses; none where the direction is not known. */
  readonly best: readonly string[];
  readonly fromBaseline: readonly (BaselineChange | undefined)[];
}

/** A file of the versions. */
export interface ComparedFile {
  readonly path: string;
  readonly sha256: readonly (string | undefined)[];
  readonly sizeBytes: readonly (number | undefined)[];
  /** Beside the baseline; undefined where neither has it. */
  readonly change: readonly ('same' | 'changed' | 'added' | 'removed' | undefined)[];
  /** Whether all have it, with the same content. */
  readonly same: boolean;
}

/** The signatures beside that of the baseline. */
export interface ComparedSignatures {
  /** Whether all have one, and the same. */
  readonly same: boolean;
  readonly known: readonly boolean[];
  /** Why callers of the baseline would fail with the version; undefined where one of the two has none. */
  readonly breaks: readonly (readonly string[] | undefined)[];
}

/**
 * Versions side by side. Lists of values hold one for each version, in the order of `versions`; what is
 * missing is undefined. Each is held against the baseline.
 */
export interface VersionComparison {
  readonly versions: readonly ComparedVersion[];
  /** The id of the version that the others are held against. */
  readonly baseline: string;
  readonly metrics: readonly ComparedVersionMetric[];
  readonly signatures: ComparedSignatures;
  /** By path ascending, equal ones too. */
  readonly files: readonly ComparedFile[];
  /** Source run, commit, execution, image, lock file, parents, feature sets: those that differ. */
  readonly lineage: readonly Difference<Json>[];
  /** `name (digest)` of each dataset, with its roles: those that not all saw in the same. */
  readonly datasets: readonly Difference<Json>[];
  /** Params of the source runs that differ. */
  readonly params: readonly Difference<Json>[];
  /** What was captured about where the source runs ran, where it differs; dotted keys. */
  readonly environment: readonly Difference<Json>[];
  readonly tags: readonly Difference<string>[];
  /** How many are the same in all. */
  readonly same: Readonly<
    Record<'lineage' | 'datasets' | 'params' | 'environment' | 'tags' | 'files', number>
  >;
}

/** What a comparison is made from, for each version. */
export interface VersionParts {
  readonly version: ModelVersion;
  /** Undefined where it has no source run, or that is gone. */
  readonly run: Run | undefined;
  /** Of the run and of the version itself. */
  readonly datasets: readonly LineageDataset[];
}

/** Lays versions side by side. Pure: equal parts give an equal comparison. */
export function compareVersionParts(
  parts: readonly VersionParts[],
  baseline: string,
  directionOf: (metric: string) => MetricDirection | undefined,
): VersionComparison {
  const versions = parts.map(({ version }) => version);
  const base = versions.findIndex(({ id }) => id === baseline);
  const baseVersion = versions[base] as ModelVersion;
  const lineage = differences(versions.map(lineageFacts));
  const datasets = differences(parts.map(datasetFacts));
  const params = differences(parts.map(({ run }) => run?.params ?? {}));
  const environment = differences(parts.map(({ run }) => flatFacts(run?.environment ?? {})));
  const tags = differences(versions.map((version) => version.tags));
  const files = comparedFiles(versions, base);
  const names = [...new Set(versions.flatMap(({ metrics }) => Object.keys(metrics)))].toSorted();
  return {
    versions: versions.map((version) => comparedVersion(version, baseVersion)),
    baseline,
    metrics: names.map((name) => comparedMetric(name, versions, base, directionOf(name))),
    signatures: comparedSignatures(versions, baseVersion.signature),
    files,
    lineage: lineage.differing,
    datasets: datasets.differing,
    params: params.differing,
    environment: environment.differing,
    tags: tags.differing,
    same: {
      lineage: lineage.same,
      datasets: datasets.same,
      params: params.same,
      environment: environment.same,
      tags: tags.same,
      files: files.filter((file) => file.same).length,
    },
  };
}

function comparedVersion(version: ModelVersion, base: ModelVersion): ComparedVersion {
  const { id, model, version: number, stage, format, sha256, sizeBytes } = version;
  const { createdAt, createdBy } = version;
  const sizeChangeBytes = sizeBytes - base.sizeBytes;
  return {
    ...{ id, model, version: number, stage, format, sha256, sizeBytes, sizeChangeBytes },
    ...{ createdAt, createdBy },
  };
}

function comparedMetric(
  name: string,
  versions: readonly ModelVersion[],
  base: number,
  direction: MetricDirection | undefined,
): ComparedVersionMetric {
  // Names are users' own: `constructor` is one like others.
  const values = versions.map(({ metrics }) =>
    Object.hasOwn(metrics, name) ? metrics[name] : undefined,
  );
  const known = values.filter((value) => value !== undefined && !Number.isNaN(value)) as number[];
  const top = direction === 'lower' ? Math.min(...known) : Math.max(...known);
  const best =
    direction === undefined ? [] : versions.filter((_, i) => values[i] === top).map(({ id }) => id);
  const of = values[base];
  const fromBaseline = values.map((value) =>
    of === undefined || value === undefined ? undefined : changeBetween(of, value, direction),
  );
  return { name, direction, values, best, fromBaseline };
}

function comparedSignatures(
  versions: readonly ModelVersion[],
  base: ModelSignature | undefined,
): ComparedSignatures {
  const signatures = versions.map(({ signature }) => signature);
  const texts = signatures.map((one) => (one === undefined ? undefined : canonicalJson(one)));
  return {
    same: texts.every((text) => text !== undefined && text === texts[0]),
    known: signatures.map((one) => one !== undefined),
    breaks: signatures.map((one) =>
      one === undefined || base === undefined ? undefined : signatureBreaks(base, one),
    ),
  };
}

function comparedFiles(versions: readonly ModelVersion[], base: number): readonly ComparedFile[] {
  const maps = versions.map(({ files }) => new Map(files.map((file) => [file.path, file])));
  const paths = [...new Set(maps.flatMap((map) => [...map.keys()]))].toSorted();
  return paths.map((path) => {
    const found = maps.map((map) => map.get(path));
    const sha256 = found.map((file) => file?.sha256);
    const of = sha256[base];
    return {
      path,
      sha256,
      sizeBytes: found.map((file) => file?.sizeBytes),
      change: sha256.map((digest) => {
        if (of === undefined) return digest === undefined ? undefined : 'added';
        if (digest === undefined) return 'removed';
        return digest === of ? 'same' : 'changed';
      }),
      same: sha256.every((digest) => digest !== undefined && digest === of),
    };
  });
}

function lineageFacts({ lineage }: ModelVersion): Record<string, Json> {
  const { sourceRunId, codeCommit, pipelineExecutionId, parentVersionIds, featureSets } = lineage;
  const facts: [string, Json | undefined][] = [
    ['source run', sourceRunId],
    ['commit', codeCommit],
    ['execution', pipelineExecutionId],
    ['image', lineage.environment?.image],
    ['lock file', lineage.environment?.lockHash],
    ['parents', listed(parentVersionIds)],
    ['feature sets', listed(featureSets ?? [])],
  ];
  return Object.fromEntries(facts.filter((fact): fact is [string, Json] => fact[1] !== undefined));
}

function listed(names: readonly string[]): string | undefined {
  return names.length === 0 ? undefined : names.toSorted().join(', ');
}

function datasetFacts({ datasets }: VersionParts): Record<string, Json> {
  const roles = new Map<string, Set<string>>();
  for (const { name, digest, role = 'used' } of datasets) {
    const key = name === undefined ? digest : `${name} (${digest})`;
    roles.set(key, (roles.get(key) ?? new Set()).add(role));
  }
  return Object.fromEntries([...roles].map(([key, of]) => [key, [...of].toSorted().join(', ')]));
}
