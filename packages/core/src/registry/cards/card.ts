import { z } from 'zod';
import { KeelsonError } from '../../errors.ts';
import { asJson, assertText, canonicalJson, type Json, type JsonObject } from '../../json.ts';

/** What people should know of a version before they use it. */
export interface ModelCard {
  readonly team?: string;
  readonly maintainer?: string;
  readonly framework?: { readonly name: string; readonly version?: string };
  readonly architecture?: string;
  /** How many parameters it has. */
  readonly parameterCount?: number;
  readonly hardware?: string;
  readonly metrics?: Readonly<Record<string, number>>;
  readonly performance?: CardPerformance;
  readonly purpose?: string;
  readonly approvedUses?: readonly string[];
  readonly excludedUses?: readonly string[];
  /** Such as `high-risk (EU AI Act, annex III)`. */
  readonly regulatoryClass?: string;
  readonly limitations?: readonly string[];
  /** What the model's own schema describes. */
  readonly custom?: JsonObject;
  /** The one part that may change from STAGING on. */
  readonly notes?: string;
}

/** How fast and how large it was, and where that was measured. */
export interface CardPerformance {
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  readonly requestsPerSecond?: number;
  readonly memoryBytes?: number;
  /** Such as `8 vCPU, 16 GiB, concurrency 4`. */
  readonly measuredOn?: string;
}

const words = z.string().max(1_000);
const prose = z.string().max(20_000);
const amount = z.number().nonnegative();
const list = z.array(z.string().min(1).max(2_000)).max(100);

const shape = z.strictObject({
  team: words.optional(),
  maintainer: words.optional(),
  framework: z.strictObject({ name: words.min(1), version: words.optional() }).optional(),
  architecture: prose.optional(),
  parameterCount: z.int().nonnegative().optional(),
  hardware: words.optional(),
  metrics: z.record(z.string().min(1).max(250), z.union([z.number(), z.nan()])).optional(),
  performance: z
    .strictObject({
      p50Ms: amount.optional(),
      p99Ms: amount.optional(),
      requestsPerSecond: amount.optional(),
      memoryBytes: amount.optional(),
      measuredOn: words.optional(),
    } satisfies Record<keyof CardPerformance, z.ZodType>)
    .optional(),
  purpose: prose.optional(),
  approvedUses: list.optional(),
  excludedUses: list.optional(),
  regulatoryClass: words.optional(),
  limitations: list.optional(),
  custom: z.record(z.string(), z.unknown()).optional(),
  notes: prose.optional(),
} satisfies Record<keyof ModelCard, z.ZodType>);

const maxKeys = 300;

/** A copy to store. INVALID, naming each place, for what is no card. */
export function assertCard(given: unknown): ModelCard {
  const card = asJson(given, 'card');
  const checked = shape.safeParse(card);
  if (!checked.success) {
    const problems = checked.error.issues.map(
      ({ path, message }) => `${['card', ...path.map(String)].join('.')}: ${message}`,
    );
    throw new KeelsonError(
      'INVALID',
      `A model card cannot be so: ${problems.join('; ')}. Its fields are ${Object.keys(shape.shape).join(', ')}; others belong in custom.`,
      { details: { problems } },
    );
  }
  const keys = Object.keys(flattenCard(card as ModelCard));
  for (const key of keys) assertText(key, 'The name of a field of a card', 250);
  if (keys.length <= maxKeys) return card as ModelCard;
  throw new KeelsonError(
    'INVALID',
    `A model card has at most ${maxKeys} fields that can be searched, and this one has ${keys.length}; keep large tables in an artifact.`,
  );
}

/**
 * The card as searches see it: `framework.name`, `custom.region`. Lists of plain values are one text, joined by
 * `; `; other lists are left out.
 */
export function flattenCard(card: ModelCard): Readonly<Record<string, string | number | boolean>> {
  const flat: [string, string | number | boolean][] = [];
  const walk = (value: Json, path: string): void => {
    if (Array.isArray(value)) {
      const plain = value.every((item) => item !== null && typeof item !== 'object');
      if (plain && value.length > 0) flat.push([path, value.join('; ')]);
    } else if (typeof value === 'object' && value !== null) {
      for (const [key, item] of Object.entries(value)) {
        walk(item as Json, path === '' ? key : `${path}.${key}`);
      }
    } else if (value !== null) flat.push([path, value as string | number | boolean]);
  };
  walk(card as unknown as Json, '');
  return Object.fromEntries(flat);
}

/** The names of the top fields in which two cards differ, `notes` left out. */
export function frozenDifferences(former: ModelCard, next: ModelCard): readonly string[] {
  const names = new Set([...Object.keys(former), ...Object.keys(next)]);
  names.delete('notes');
  return [...names].filter((name) => {
    const [a, b] = [former, next].map((card) => card[name as keyof ModelCard] ?? null);
    return canonicalJson(a) !== canonicalJson(b);
  });
}

/** Those of the fields that the card does not fill: `team`, `framework`, `custom.region`. */
export function missingFields(
  card: ModelCard | undefined,
  fields: readonly string[],
): readonly string[] {
  const filled = Object.entries(flattenCard(card ?? {})).flatMap(([key, value]) =>
    typeof value === 'string' && value.trim() === '' ? [] : [key],
  );
  return fields.filter(
    (field) => !filled.some((key) => key === field || key.startsWith(`${field}.`)),
  );
}
