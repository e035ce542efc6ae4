import type { EventFilter, StoredEvent } from '../contracts/event.ts';
import type { Scope } from '../contracts/scope.ts';
import { KeelsonError } from '../errors.ts';
import { parkedId, partitionId } from './subscription.ts';

/** `held`: it waits until a person decides about a dead letter. */
export type ProgressState = 'handled' | 'waiting' | 'held';

const remembered = 10_000;

/** How far a subscription has come with single events, in whatever process. */
export class Progress {
  readonly #scope: Pick<Scope, 'metadata' | 'workspace'>;
  readonly #name: string;
  readonly #partitions: number;
  /** Where subjects fall; it never changes. */
  readonly #numbers = new Map<string, number>();

  constructor(
    scope: Pick<Scope, 'metadata' | 'workspace'>,
    subscription: { readonly name: string; readonly partitions: number },
  ) {
    this.#scope = scope;
    this.#name = subscription.name;
    this.#partitions = subscription.partitions;
  }

  /** Given up counts as handled, unless its subject is held. */
  async stateOf(event: StoredEvent): Promise<ProgressState> {
    const { metadata, workspace } = this.#scope;
    const id = partitionId(this.#name, await this.#numberOf(event));
    const partition = await metadata.find(workspace, 'subscription_partition', id);
    if (partition === undefined) throw noSuch(this.#name, workspace);
    const cursor = partition.columns['cursor'] as string | undefined;
    if (await this.#isBehind(event, cursor)) return 'waiting';
    // In this order: whoever parks a subject does it in the commit that moves the cursor past it.
    const parkedAs = parkedId(this.#name, event.subject);
    const parked = await metadata.find(workspace, 'parked_subject', parkedAs);
    if (parked === undefined) return 'handled';
    const after = parked.columns['after'] as string | undefined;
    if (!(await this.#isBehind(event, after))) return 'handled';
    return parked.columns['waitsFor'] === 'PERSON' ? 'held' : 'waiting';
  }

  async #isBehind(event: StoredEvent, cursor: string | undefined): Promise<boolean> {
    return (await this.#read({ ids: [event.id] }, cursor)) > 0;
  }

  async #numberOf({ id, subject }: StoredEvent): Promise<number> {
    const known = this.#numbers.get(subject);
    if (known !== undefined) return known;
    const of = this.#partitions;
    let number = 0;
    for (; number < of - 1; number += 1) {
      const filter = { ids: [id], partition: { of, index: number } };
      if ((await this.#read(filter, undefined)) > 0) break;
    }
    if (this.#numbers.size >= remembered) this.#numbers.clear();
    this.#numbers.set(subject, number);
    return number;
  }

  async #read(filter: EventFilter, after: string | undefined): Promise<number> {
    const { events } = await this.#scope.metadata.readEvents({
      workspace: this.#scope.workspace,
      filter,
      limit: 1,
      ...(after === undefined ? {} : { after }),
    });
    return events.length;
  }
}

function noSuch(name: string, workspace: string): KeelsonError {
  return new KeelsonError('NOT_FOUND', `There is no subscription ${name} in ${workspace}.`, {
    details: { subscription: name },
  });
}
