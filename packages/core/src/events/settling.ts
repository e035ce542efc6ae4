import type { StoredEvent } from '../contracts/event.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { Progress } from './progress.ts';
import { deadLetterId, subscriptionId } from './subscription.ts';

const longestLookMs = 200;

/**
 * Resolves when the subscription has handled the event, here or in another process; `loop` delivers it
 * here. FAILED, with what the handler said, when it became a dead letter; TIMEOUT after the deadline
 * (a time of `performance.now()`).
 */
export async function settle(
  scope: Scope,
  name: string,
  event: StoredEvent,
  options: { readonly loop: Loop | undefined; readonly deadline: number },
): Promise<void> {
  const progress = await progressOf(scope, name);
  const round = rounds(options.loop);
  for (let lookMs = 5; ; ) {
    const state = await progress.stateOf(event);
    if (state === 'handled') break;
    // Held up by an earlier event of its subject, it waits.
    if (state === 'held') await assertNotBuried(scope, name, event);
    const leftMs = options.deadline - performance.now();
    if (leftMs <= 0) throw timeout(name, event);
    const restMs = Math.min(lookMs, leftMs);
    const ran = await within(round(), restMs);
    if (ran === false) await within(forever, restMs);
    lookMs = ran === true ? 5 : Math.min(longestLookMs, lookMs * 2);
  }
  await assertNotBuried(scope, name, event);
}

const forever = new Promise<never>(() => undefined);

/** Rounds of a loop, one at a time: one that takes long goes on beside who waits for something else. */
function rounds(loop: Loop | undefined): () => Promise<boolean> {
  const never = new AbortController().signal;
  let current: Promise<boolean> | undefined;
  return () => {
    if (loop === undefined) return forever;
    if (current !== undefined) return current;
    const round = loop.runOnce(never);
    current = round;
    const over = (): void => {
      current = undefined;
    };
    round.then(over, over);
    return round;
  };
}

async function progressOf(scope: Scope, name: string): Promise<Progress> {
  const { metadata, workspace } = scope;
  const record = await metadata.find(workspace, 'subscription', subscriptionId(name));
  if (record === undefined) {
    throw new KeelsonError('NOT_FOUND', `There is no subscription ${name} in ${workspace}.`);
  }
  return new Progress(scope, { name, partitions: record.columns['partitions'] as number });
}

async function assertNotBuried(scope: Scope, name: string, event: StoredEvent): Promise<void> {
  const id = deadLetterId(name, event.id);
  const letter = await scope.metadata.find(scope.workspace, 'dead_letter', id);
  if (letter === undefined) return;
  throw new KeelsonError(
    'FAILED',
    `Subscription ${name} gave up event ${event.id} (${event.type}): ${String(letter.body['error'])}`,
    { details: { subscription: name, event: event.id } },
  );
}

/** What the promise gives, or `late` when time runs out first. */
async function within<T>(promise: Promise<T>, ms: number): Promise<T | 'late'> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

function timeout(name: string, event: StoredEvent): KeelsonError {
  return new KeelsonError(
    'TIMEOUT',
    `Subscription ${name} has not handled event ${event.id} (${event.type}) in time.`,
    { details: { subscription: name, event: event.id } },
  );
}
