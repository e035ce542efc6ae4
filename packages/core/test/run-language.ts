/** For tests of adapters: the kinds of tracking, and searches of runs as their users write them. */
import type { Order, Predicate } from '../src/contracts/query.ts';
import { parseFilter, parseOrder } from '../src/language/parse-filter.ts';
import { runVocabulary } from '../src/tracking/run-vocabulary.ts';

export { trackingKinds } from '../src/contracts/kinds/tracking-kinds.ts';

/** A filter of runs; undefined for an empty one. */
export function runFilter(text: string): Predicate | undefined {
  return parseFilter(text, runVocabulary);
}

/** An order of runs. */
export function runOrder(text: string): Order {
  return parseOrder(text, runVocabulary);
}
