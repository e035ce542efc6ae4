import type { StoredEvent } from '../../contracts/event.ts';
import type { Scope } from '../../contracts/scope.ts';

const lookBackMs = 7 * 86_400_000;
/** What may have brought it. */
const changes = [
  ...['deployment.started', 'deployment.configured', 'deployment.rolled_back', 'traffic.shifted'],
  ...['rollout.started', 'rollout.advanced', 'rollout.completed', 'abtest.started'],
  ...['deployment.promotion_turned_back', 'baseline.updated'],
];
/** What a policy may have done. */
const answers = [
  ...['response.acted', 'deployment.rolling_back', 'deployment.rolled_back', 'rollout.paused'],
  ...['pipeline.started'],
];

/** What a message says beside the alert itself. */
export interface MessageContext {
  /** The last change of a deployment in the week before `at`: a rollout, a configuration, traffic, a baseline. */
  lastChangeBefore(deployment: string, at: number): Promise<StoredEvent | undefined>;
  /** What has been done under the correlations of the first few alerts. */
  doneAbout(correlationIds: readonly string[]): Promise<readonly StoredEvent[]>;
}

/** {@link MessageContext} of a scope's events. */
export function createMessageContext({
  metadata,
  workspace,
}: Pick<Scope, 'metadata' | 'workspace'>): MessageContext {
  async function lastChangeBefore(
    deployment: string,
    at: number,
  ): Promise<StoredEvent | undefined> {
    return lastOf({
      ...{ subjects: [`deployment:${deployment}`], types: changes },
      ...{ since: at - lookBackMs, until: at },
    });
  }

  async function lastOf(
    filter: Parameters<typeof metadata.readEvents>[0]['filter'],
  ): Promise<StoredEvent | undefined> {
    let after: string | undefined;
    let last: StoredEvent | undefined;
    for (;;) {
      const from = after === undefined ? {} : { after };
      const page = await metadata.readEvents({
        workspace,
        limit: 1000,
        ...(filter && { filter }),
        ...from,
      });
      last = page.events.at(-1) ?? last;
      if (page.events.length < 1000) return last;
      after = page.cursor;
    }
  }

  async function doneAbout(correlationIds: readonly string[]): Promise<readonly StoredEvent[]> {
    const found: StoredEvent[] = [];
    for (const correlationId of correlationIds.slice(0, 5)) {
      const filter = { correlationId, types: answers };
      const { events } = await metadata.readEvents({ workspace, limit: 10, filter });
      found.push(...events);
    }
    return found;
  }

  return { lastChangeBefore, doneAbout };
}
