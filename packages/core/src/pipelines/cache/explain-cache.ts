import { KeelsonError } from '../../errors.ts';
import { assertText } from '../../json.ts';
import type { Definitions } from '../definitions.ts';
import { given } from '../execution.ts';
import type { ExecutionRecords } from '../execution-records.ts';
import { stepHasEnded } from '../execution-state.ts';
import type { CacheExplanation } from '../pipelines-types.ts';
import { mapKeyOf, type StepState, stepLabel } from '../step-execution.ts';
import type { StepCaching } from './step-caching.ts';

/** What telling needs. */
export interface ExplainParts {
  readonly records: ExecutionRecords;
  readonly definitions: Definitions;
  readonly caching: StepCaching;
}

/** Whether a step's result was taken from an earlier one, and why; of a fan-out, how many of its items' were. */
export async function explainCache(
  { records, definitions, caching }: ExplainParts,
  executionId: string,
  step: string,
  item?: number,
): Promise<CacheExplanation> {
  const state = await stateOf(records, executionId, step, item);
  const { cacheKey: key, cacheNote, cachedFrom } = state;
  if (key !== undefined) {
    return {
      outcome: cachedFrom === undefined ? 'miss' : 'hit',
      explanation: cacheNote ?? '',
      key,
      ...given('parts', await caching.partsOf(key)),
      ...given('cachedFrom', cachedFrom),
    };
  }
  if (cachedFrom !== undefined) {
    const explanation = `reused from execution ${cachedFrom.executionId}, as the start of this one asked for`;
    return { outcome: 'hit', explanation, cachedFrom };
  }
  if (cacheNote !== undefined) return { outcome: 'off', explanation: cacheNote };
  const { definition, steps } = await definitions.get(state.definition);
  const defined = steps.get(step);
  const off = defined?.cache === false || defined?.repeat !== undefined;
  const none =
    off || defined === undefined
      ? { none: 'its definition says so' }
      : await caching.keyOf(definition.name, defined, { parameters: {}, packed: {} });
  if ('none' in none) return { outcome: 'off', explanation: `not cached: ${none.none}` };
  if (state.mapKey === '' && state.items !== undefined) {
    return ofItems(await records.items(executionId, step, state.items), state.items);
  }
  const ended = stepHasEnded(state.status);
  const explanation = ended
    ? 'it was never looked for: the step ended before it began'
    : 'it has not been looked for yet';
  return { outcome: 'off', explanation };
}

function ofItems(items: readonly StepState[], all: number): CacheExplanation {
  const taken = items.filter(({ cachedFrom }) => cachedFrom !== undefined).length;
  return {
    outcome: taken === all && all > 0 ? 'hit' : 'miss',
    explanation: `each item on its own: ${taken} of ${all} taken from earlier ones; name one with { item }`,
  };
}

async function stateOf(
  records: ExecutionRecords,
  executionId: string,
  step: string,
  item: number | undefined,
): Promise<StepState> {
  assertText(executionId, 'An execution id');
  assertText(step, 'A step');
  if (item !== undefined && !(Number.isInteger(item) && item >= 0)) {
    throw new KeelsonError(
      'INVALID',
      'item is the number of an item of a fan-out, 0 for the first.',
    );
  }
  const mapKey = item === undefined ? '' : mapKeyOf(item);
  const state = await records.step(executionId, step, mapKey);
  if (state !== undefined) return state;
  await records.get(executionId);
  const which = stepLabel({ step, mapKey });
  throw new KeelsonError('NOT_FOUND', `Execution ${executionId} has no step ${which}.`);
}
