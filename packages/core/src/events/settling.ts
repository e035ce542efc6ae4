import type { StoredEvent } from '../contracts/event.ts';
import type { Loop } from '../contracts/loop.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { deadLetterId, subscriptionId } from './subscription-loop.ts';

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
  const never = new AbortController().signal;
  for (let lookMs = 5; !(await hasHandled(scope, name, event)); ) {
    const leftMs = options.deadline - performance.now();
    if (leftMs <= 0) throw timeout(name, event);
    const round = options.loop?.runOnce(never) ?? Promise.resolve(false);
    // A round that takes too long goes on without us; what it may reject with is then nobody's.
    round.catch(() => undefined);
    const ran = await within(round, leftMs);
    if (ran === 'late') throw timeout(name, event);
    if (ran) continue;
    await within(new Promise(() => undefined), Math.min(lookMs, leftMs));
    lookMs = Math.min(longestLookMs, lookMs * 2);
  }
  await assertNotBuried(scope, name, event);
}

/** Handled when nothing of its subject and type up to it is left behind the cursor. */
async function hasHandled(scope: Scope, name: string, event: StoredEvent): Promise<boolean> {
  const { metadata, workspace } = scope;
  const record = await metadata.find(workspace, 'subscription', subscriptionId(name));
  if (record === undefined) {
    throw new KeelsonError('NOT_FOUND', `There is no subscription ${name} in ${workspace}.`);
  }
  const after = record.columns['cursor'] as string | undefined;
  const left = await metadata.readEvents({
    workspace,
    filter: { types: [event.type], subjects: [event.subject] },
    limit: 1,
    ...(after === undefined ? {} : { after }),
  });
  const next = left.events[0];
  return next === undefined || next.subjectSequence > event.subjectSequence;
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
