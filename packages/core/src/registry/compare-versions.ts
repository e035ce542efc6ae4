import { z } from 'zod';
import { checkOptions } from '../check-options.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { directionByName, type MetricDirection } from '../tracking/metric-direction.ts';
import type { Tracking } from '../tracking/tracking.ts';
import { readVersionById } from './model-records.ts';
import type { ModelVersion } from './model-version.ts';
import { type PageFormat, renderPage } from './page-document.ts';
import {
  compareVersionParts,
  type VersionComparison,
  type VersionParts,
} from './version-comparison.ts';
import { versionComparisonDocument } from './version-comparison-page.ts';
import { resolveVersion } from './version-reference.ts';

/** What of the versions is compared. */
export interface CompareVersionsOptions {
  /** One of them, by the same text: the version that the others are held against. The first when left out. */
  readonly baseline?: string;
  /** Goes before what is defined for a metric's name, and before what a name says. */
  readonly directions?: Readonly<Record<string, MetricDirection>>;
}

/** Lays versions side by side. */
export interface VersionComparisons {
  /**
   * 2 to 20 versions, of one model or of several, by their ids or by references such as `fraud@champion`:
   * metrics, signatures, sizes, files, lineage, data, params and environment of their runs.
   */
  compare(
    versions: readonly string[],
    options?: CompareVersionsOptions,
  ): Promise<VersionComparison>;
  /** The same as a page: of HTML without script, or as Markdown. */
  comparisonPage(
    versions: readonly string[],
    format: PageFormat,
    options?: CompareVersionsOptions,
  ): Promise<string>;
}

const shape = z.strictObject({
  baseline: z.string().optional(),
  directions: z.record(z.string(), z.enum(['higher', 'lower'])).optional(),
} satisfies Record<keyof CompareVersionsOptions, z.ZodType>);

/** Comparisons, bound to a scope. */
export function createVersionComparisons(
  scope: Scope,
  tracking: Pick<Tracking, 'getRun' | 'listDatasets' | 'listMetricNames'>,
): VersionComparisons {
  async function compare(
    references: readonly string[],
    options: CompareVersionsOptions = {},
  ): Promise<VersionComparison> {
    checkOptions(shape, options, 'A comparison of versions');
    assertReferences(references);
    const { baseline = references[0] as string, directions = {} } = options;
    const at = references.indexOf(baseline);
    if (at < 0) {
      throw new KeelsonError(
        'INVALID',
        `The baseline ${JSON.stringify(baseline)} is none of the versions that are compared.`,
      );
    }
    const parts: VersionParts[] = [];
    for (const reference of references) {
      const part = await partsOf(await versionOf(reference));
      const twice = parts.some(({ version }) => version.id === part.version.id);
      if (twice) {
        throw new KeelsonError(
          'INVALID',
          `${JSON.stringify(reference)} is ${part.version.model}@${part.version.version}, which is compared already.`,
        );
      }
      parts.push(part);
    }
    const names = await tracking.listMetricNames();
    const defined = (metric: string): MetricDirection | undefined =>
      names.find(({ name, aliases }) => name === metric || aliases.includes(metric))?.direction;
    return compareVersionParts(parts, parts[at]?.version.id ?? '', (metric) => {
      const given = Object.hasOwn(directions, metric) ? directions[metric] : undefined;
      return given ?? defined(metric) ?? directionByName(metric);
    });
  }

  async function versionOf(reference: string): Promise<ModelVersion> {
    if (!reference.includes('@')) return await readVersionById(scope, reference);
    return await resolveVersion(scope, reference);
  }

  async function partsOf(version: ModelVersion): Promise<VersionParts> {
    const own = version.lineage.datasets ?? [];
    const { sourceRunId } = version.lineage;
    if (sourceRunId === undefined) return { version, run: undefined, datasets: own };
    try {
      const run = await tracking.getRun(sourceRunId);
      return { version, run, datasets: [...(await tracking.listDatasets(sourceRunId)), ...own] };
    } catch (error) {
      // A run may be in another system, or gone by the retention.
      if (!isKeelsonError(error, 'NOT_FOUND')) throw error;
      return { version, run: undefined, datasets: own };
    }
  }

  return {
    compare,
    async comparisonPage(references, format, options) {
      if (format !== 'markdown' && format !== 'html') {
        throw new KeelsonError('INVALID', 'A page of a comparison is markdown or html.');
      }
      return renderPage(versionComparisonDocument(await compare(references, options)), format);
    },
  };
}

function assertReferences(references: readonly string[]): void {
  if (!Array.isArray(references) || references.length < 2 || references.length > 20) {
    const given = Array.isArray(references) ? `, not ${references.length}` : '';
    throw new KeelsonError(
      'INVALID',
      `A comparison takes a list of 2 to 20 versions${given}: ids, or references such as fraud@1.4.0.`,
    );
  }
  for (const reference of references) assertText(reference, 'A version to compare', 1000);
}
