import type { Scope } from '../contracts/scope.ts';
import type { PlatformEvents } from '../events/platform-events.ts';
import { type AccessRules, asks, guard, streams } from './access-guard.ts';

/** Who may call what of events: they cross all that a workspace has, so a right on a part is not enough. */
const rules: AccessRules<PlatformEvents> = {
  subscribe: asks('event.subscribe'),
  deliver: asks('event.subscribe'),
  settled: asks('event.read'),
  each: streams(asks('event.read')),
  page: asks('event.read'),
  archived: streams(asks('event.read')),
  archives: streams(asks('event.read')),
  follow: streams(asks('event.read')),
  publish: asks('event.publish'),
  historyTree: asks('event.read'),
  deadLetters: asks('event.read'),
  subscriptions: asks('event.read'),
  replayDeadLetters: asks('event.subscribe'),
  dropDeadLetters: asks('event.subscribe'),
  replay: asks('event.subscribe'),
  removeSubscription: asks('event.subscribe'),
  loops: 'hidden',
};

/** Events, asking the scope's authorizer before every call. */
export function guardEvents(scope: Scope, events: PlatformEvents): PlatformEvents {
  return guard(scope, events, rules);
}
