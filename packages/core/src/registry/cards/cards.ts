import type { Change } from '../../contracts/metadata-store.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { asJson, assertText, type JsonObject } from '../../json.ts';
import { compileSchema, schemaFaults } from '../../json-schema.ts';
import {
  assertAllowed,
  type Decision,
  decideAndCommit,
} from '../../operations/decide-and-commit.ts';
import { optional } from '../../tracking/run.ts';
import { getModelRecord, readVersionById } from '../model-records.ts';
import { raiseTies } from '../model-tie.ts';
import type { ModelVersion } from '../model-version.ts';
import { type PageFormat, renderPage } from '../page-document.ts';
import { assertCard, flattenCard, frozenDifferences, type ModelCard } from './card.ts';
import { cardDocument } from './card-document.ts';

/** A card as it was from a time on. */
export interface CardRevision {
  readonly revision: number;
  readonly at: number;
  readonly by: string;
  readonly card: ModelCard;
}

/** What is known of versions for people. */
export interface Cards {
  /**
   * The whole card of a version in place of the one before. IMMUTABLE from STAGING on for anything but its
   * `notes`; INVALID, naming each place, for what does not fit, the model's own schema included.
   */
  setCard(id: string, card: ModelCard): Promise<ModelCard>;
  /** NOT_FOUND where the version has none. */
  getCard(id: string): Promise<ModelCard>;
  findCard(id: string): Promise<ModelCard | undefined>;
  /** Oldest first. */
  cardHistory(id: string): Promise<readonly CardRevision[]>;
  /** The card with signature, lineage, stages and validations, as a page: HTML is self-contained. */
  cardPage(id: string, format: PageFormat): Promise<string>;
  /**
   * The JSON Schema (`type: 'object'`) of the `custom` part of the model's cards, from the next `setCard` on;
   * undefined takes it away.
   */
  setCardSchema(model: string, schema: JsonObject | undefined): Promise<void>;
  findCardSchema(model: string): Promise<JsonObject | undefined>;
}

/** Cards, bound to a scope. */
export function createCards(scope: Scope): Cards {
  const { metadata, workspace } = scope;

  async function find(id: string): Promise<StoredRecord | undefined> {
    return await metadata.find(workspace, 'model_card', id);
  }

  async function decide(id: string, card: ModelCard): Promise<Decision<ModelCard>> {
    const version = await readVersionById(scope, id);
    if (version.deletedAt !== undefined) {
      throw new KeelsonError(
        'NOT_FOUND',
        `Version ${version.version} of ${version.model} was deleted; its card stays as it is.`,
      );
    }
    const filled = withCustom(
      card,
      (await getModelRecord(scope, version.model)).body['cardSchema'],
    );
    const former = await find(id);
    assertNotFrozen(version, (former?.body ?? {}) as ModelCard, filled);
    // A promotion that has looked at the card before looks again.
    const ties = await raiseTies(scope, [version.modelId]);
    return { changes: [...cardChanges(version, former, filled), ...ties], result: filled };
  }

  return {
    async setCard(id, given) {
      assertText(id, 'The id of a model version');
      const card = assertCard(given);
      await assertAllowed(scope, 'model.update', `version:${id}`);
      return await decideAndCommit(scope, () => decide(id, card));
    },

    async findCard(id) {
      await readVersionById(scope, id);
      return (await find(id))?.body as ModelCard | undefined;
    },

    async getCard(id) {
      const { model, version } = await readVersionById(scope, id);
      const record = await find(id);
      if (record !== undefined) return record.body as ModelCard;
      throw new KeelsonError(
        'NOT_FOUND',
        `Version ${version} of ${model} has no card; registry.setCard() gives it one.`,
      );
    },

    async cardHistory(id) {
      await readVersionById(scope, id);
      const entries = await metadata.history(workspace, 'model_card', id);
      return entries.map(({ revision, at, by, body }) => ({
        ...{ revision, at, by },
        card: body as ModelCard,
      }));
    },

    async cardPage(id, format) {
      assertFormat(format);
      return renderPage(await cardDocument(scope, await readVersionById(scope, id)), format);
    },

    async setCardSchema(name, schema) {
      assertText(name, 'A model name');
      await assertAllowed(scope, 'model.policy', `model:${name}`);
      const cardSchema = schema === undefined ? undefined : assertSchema(name, schema);
      await decideAndCommit(scope, async () => {
        const { id, revision: expect, body } = await getModelRecord(scope, name);
        const { cardSchema: _former, ...rest } = body;
        const next = { ...rest, ...optional('cardSchema', cardSchema) };
        const change: Change = { op: 'replace', kind: 'model', id, expect, body: next };
        return { changes: [change], result: undefined };
      });
    },

    async findCardSchema(name) {
      return (await getModelRecord(scope, name)).body['cardSchema'] as JsonObject | undefined;
    },
  };
}

/** INVALID unless it is one. */
export function assertFormat(format: unknown): asserts format is PageFormat {
  if (format === 'markdown' || format === 'html') return;
  throw new KeelsonError('INVALID', `A page can be had as 'markdown' or 'html'.`);
}

function assertSchema(model: string, given: unknown): JsonObject {
  const schema = asJson(given, 'The schema of cards');
  if (typeof schema !== 'object' || schema === null || Array.isArray(schema)) {
    throw new KeelsonError('INVALID', 'The schema of cards must be a JSON Schema of an object.');
  }
  compileSchema(schema as JsonObject, `The schema of the cards of ${model}`);
  return schema as JsonObject;
}

/** The card with its own attributes held to the model's schema, defaults filled in. */
function withCustom(card: ModelCard, schema: unknown): ModelCard {
  if (schema === undefined) return card;
  const custom = structuredClone(card.custom ?? {});
  const validate = compileSchema(schema as JsonObject, 'The schema of cards');
  const faults = schemaFaults(validate, custom, 'card.custom');
  if (faults.length === 0) return assertCard({ ...card, custom });
  throw new KeelsonError(
    'INVALID',
    `The card does not fit the schema of the model's cards: ${faults.join('; ')}.`,
    { details: { faults } },
  );
}

function assertNotFrozen(version: ModelVersion, former: ModelCard, next: ModelCard): void {
  if (version.stage === 'DEVELOPMENT') return;
  const changed = frozenDifferences(former, next);
  if (changed.length === 0) return;
  throw new KeelsonError(
    'IMMUTABLE',
    `The card of ${version.model}@${version.version} is frozen, as the version is in ${version.stage}; only its notes may change, not ${changed.join(', ')}. Register a new version for a new card.`,
    { details: { kind: 'model_card', id: version.id, fields: changed } },
  );
}

/** The stage that the card was judged by is asserted: of a card and a promotion at once, the second looks again. */
function cardChanges(
  version: ModelVersion,
  former: StoredRecord | undefined,
  card: ModelCard,
): readonly Change[] {
  const { id, modelId, revision } = version;
  const body = card as unknown as JsonObject;
  const kind = 'model_card';
  const flat = flattenCard(card);
  const gone = Object.keys(flattenCard((former?.body ?? {}) as ModelCard)).filter(
    (key) => !Object.hasOwn(flat, key),
  );
  const written: readonly Change[] =
    former === undefined
      ? // Asserted too, so that the second of two first cards looks again.
        [
          { op: 'assert', kind, id, expect: 'absent' },
          { op: 'create', kind, id, columns: { modelId }, body },
        ]
      : [{ op: 'replace', kind, id, expect: former.revision, body }];
  return [
    ...written,
    { op: 'assert', kind: 'model_version', id, expect: revision },
    {
      ...{ op: 'merge', kind: 'model_version', id },
      set: { card: flat },
      unset: { card: gone },
    },
  ];
}
