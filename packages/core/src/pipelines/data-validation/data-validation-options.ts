import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { JsonObject } from '../../json.ts';
import type { DataProfile } from './data-profile.ts';
import type { DataDriftOptions } from './profile-drift.ts';
import { boundNames, type DataRules } from './profile-rules.ts';
import type { RowFormat } from './row-reader.ts';

/** What data is held to. */
export interface DataValidationOptions {
  /** JSON Schema of a row. */
  readonly schema?: JsonObject;
  /** The share of rows that may fail the schema or be unreadable, from 0 to 1; 0 when left out. */
  readonly tolerated?: number;
  /** Bounds of the profile. */
  readonly rules?: DataRules;
  /** The profile (or rows) that the data is compared with; a step's input `baseline` comes before it. */
  readonly baseline?: DataProfile | readonly object[];
  readonly drift?: DataDriftOptions;
  /** How an artifact is written; by its type and name when left out. */
  readonly format?: RowFormat;
  /** Texts of CSV that stand for nothing; the empty one when left out. */
  readonly missingTexts?: readonly string[];
  /** How many failing rows are kept as examples; 20 when left out, at most 1,000. */
  readonly examples?: number;
  /** `fail` when left out; with `report` the step answers `passed: false` instead. */
  readonly onFailure?: 'fail' | 'report';
}

const bounds = z.strictObject({ min: z.number().optional(), max: z.number().optional() });
const object = z.custom<JsonObject>(
  (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  'must be an object',
);
const category = z.union([z.string(), z.number(), z.boolean()]);
const columnRules = z.strictObject({
  type: z.enum(['number', 'category', 'mixed', 'other', 'empty']).optional(),
  ...Object.fromEntries(boundNames.map((name) => [name, bounds.optional()])),
  values: z.array(category).optional(),
});
const sampleMethods = ['kolmogorov-smirnov', 'wasserstein', 'welch', 'mann-whitney'] as const;
const binnedMethods = [
  ...(['psi', 'jensen-shannon', 'kullback-leibler', 'hellinger'] as const),
  ...(['total-variation', 'largest-difference', 'chi-squared'] as const),
];
const options = z.strictObject({
  schema: object.optional(),
  tolerated: z.number().min(0).max(1).optional(),
  rules: z
    .strictObject({
      rows: bounds.optional(),
      columns: z.record(z.string(), columnRules).optional(),
    })
    .optional(),
  baseline: z.union([z.array(z.unknown()), object]).optional(),
  drift: z
    .strictObject({
      alpha: z.number().gt(0).lt(1).optional(),
      columns: z.array(z.string()).optional(),
      except: z.array(z.string()).optional(),
      severity: z.enum(['LOW', 'MEDIUM', 'HIGH', 'CRITICAL']).optional(),
      numeric: z.enum([...sampleMethods, ...binnedMethods]).optional(),
      categorical: z.enum(binnedMethods).optional(),
      effectThresholds: z.record(z.string(), z.number()).optional(),
    })
    .optional(),
  format: z.enum(['csv', 'jsonl', 'json']).optional(),
  missingTexts: z.array(z.string()).optional(),
  examples: z.int().min(0).max(1000).optional(),
  onFailure: z.enum(['fail', 'report']).optional(),
});

/** Refuses, as INVALID and by name, options that are none. */
export function checkDataValidation(given: DataValidationOptions): DataValidationOptions {
  return checkOptions(options, given, 'dataValidationStep');
}
