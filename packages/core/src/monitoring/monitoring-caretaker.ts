import type { Caretaker } from '../contracts/caretaker.ts';
import type { Scope } from '../contracts/scope.ts';
import { freshnessCheck } from './monitoring-checks.ts';

/** What monitoring hands to operations. */
export function monitoringCaretaker(scope: Scope): Caretaker {
  return { component: 'monitoring', checks: [freshnessCheck(scope)] };
}
