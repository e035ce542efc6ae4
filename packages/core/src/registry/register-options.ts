import { z } from 'zod';
import { assertObject, checkOptions } from '../check-options.ts';
import { KeelsonError } from '../errors.ts';
import { assertText } from '../json.ts';
import { type StatedFacts, statedFacts } from './content-facts.ts';
import { type FilesOrigin, type GatherOptions, gatherOptions } from './gather-files.ts';
import { lineageOf } from './lineage-edges.ts';
import type { ModelLineage } from './model-version.ts';
import { assertModelName } from './models.ts';
import { assertVersion, type Bump } from './next-version.ts';
import { assertTags } from './tags.ts';

/** What to register. */
export interface RegisterOptions extends GatherOptions, StatedFacts {
  /** The model's name; the model is made when there is none. */
  readonly model: string;
  /** Where its files come from; they are read back from the store before the version is there. */
  readonly from: FilesOrigin;
  /** Semver; or a bump; `auto` when both are left out. */
  readonly version?: string;
  readonly bump?: Bump;
  /** Those of the run, without `system/…`, where they are left out and the files come from a run. */
  readonly metrics?: Readonly<Record<string, number>>;
  readonly tags?: Readonly<Record<string, string>>;
  readonly description?: string;
  readonly lineage?: Partial<ModelLineage>;
}

// NaN and ±∞ are numbers: a metric that went wrong is registered as what it is.
const number = z.custom<number>((value) => typeof value === 'number', 'must be a number');
const shape: z.ZodObject = z.strictObject({
  ...gatherOptions.shape,
  ...statedFacts.shape,
  model: z.unknown().optional(),
  from: z.unknown().optional(),
  version: z.string().optional(),
  bump: z.enum(['major', 'minor', 'patch', 'auto']).optional(),
  metrics: z.record(z.string().min(1), number).optional(),
  tags: z.record(z.string(), z.unknown()).optional(),
  description: z.string().optional(),
  lineage: z.unknown().optional(),
} satisfies Record<
  Exclude<keyof RegisterOptions, keyof GatherOptions | keyof StatedFacts>,
  z.ZodType
>);

/** Refuses, as INVALID and by name, what cannot be registered: before any content is read, which may take long. */
export function assertRegisterOptions(options: RegisterOptions): void {
  const { model, version, bump, tags, description, lineage } = assertObject(options, 'register');
  assertModelName(model);
  checkOptions(shape, options, 'register');
  if (version !== undefined) assertVersion(version);
  if (version !== undefined && bump !== undefined) {
    throw new KeelsonError(
      'INVALID',
      `register was given version ${version} and bump ${bump}: say one of them.`,
    );
  }
  assertTags(tags ?? {}, 50);
  assertText(description ?? '', 'A description', 1024);
  lineageOf(lineage);
}
