import { onTestFinished } from 'vitest';
import type { Change } from '../src/contracts/metadata-store.ts';
import { draftEvent } from '../src/events/draft-event.ts';
import { createEvents, type Events } from '../src/events/events.ts';
import type { Owners } from '../src/events/subscription.ts';
import { LoopRunner } from '../src/operations/loop-runner.ts';
import { ownerFromText, ownerState, ownerText } from '../src/process-owner.ts';
import { eventTestKinds } from './children/event-test-kinds.ts';
import { openTestScope, type TestScope } from './open-test-scope.ts';

/** This process, told apart from dead ones as the platform does. */
export const realOwners: Owners = {
  self: ownerText(),
  dead: (all) => all.filter((owner) => ownerState(ownerFromText(owner)) === 'dead'),
};

/** Events on real stores. */
export interface TestEvents {
  readonly events: Events;
  readonly test: TestScope;
  /** Emits one event a text (`subject`, or `subject type`); their ids. */
  emit(...what: readonly string[]): Promise<string[]>;
}

/** Events on real stores, closed when the test ends. */
export async function openTestEvents(
  options: {
    readonly dir?: string;
    readonly owners?: Owners;
    /** Whether subscriptions are delivered by themselves; by `deliver()` when left out. */
    readonly driven?: boolean;
  } = {},
): Promise<TestEvents> {
  const { dir, owners = realOwners } = options;
  const test = await openTestScope({
    kinds: eventTestKinds,
    ...(dir === undefined ? {} : { dir }),
  });
  const { scope } = test;
  const runner = new LoopRunner(scope.logger);
  onTestFinished(async () => {
    await runner.stop(1000);
    await test[Symbol.asyncDispose]();
  });
  return {
    events: createEvents(scope, owners, options.driven ? (loop) => runner.add(loop) : undefined),
    test,
    async emit(...what) {
      const drafts = what.map((text, n) => {
        const [subject = '', type = 'thing.done'] = text.split(' ');
        return draftEvent(scope, { type, subject, source: 'test', payload: { n } });
      });
      for (let i = 0; i < drafts.length; i += 500) {
        const changes = drafts.slice(i, i + 500).map((event): Change => ({ op: 'emit', event }));
        await scope.metadata.commit({ workspace: scope.workspace, principal: 'test', changes });
      }
      return drafts.map((draft) => draft.id);
    },
  };
}
