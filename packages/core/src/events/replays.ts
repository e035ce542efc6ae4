import type { Scope } from '../contracts/scope.ts';
import type { JsonObject } from '../json.ts';
import { requestOf } from './dead-letters.ts';

/** Which events a subscription is handed again; several conditions hold together. */
export interface ReplayFilter {
  readonly types?: readonly string[];
  readonly subjects?: readonly string[];
  readonly correlationId?: string;
  /** Epoch ms: not before, and before. */
  readonly since?: number;
  readonly until?: number;
}

/** How they are handed over. */
export interface ReplayOptions {
  /**
   * Effects count anew: receipts and idempotency keys are those of this replay. Without it, handlers that
   * use them have the effects of what they have missed only.
   */
  readonly again?: boolean;
}

/** A replay that was asked for. */
export interface Replay {
  readonly id: string;
  readonly subscription: string;
  readonly state: 'RUNNING' | 'DONE';
  readonly handled: number;
  readonly failed: number;
}

/** What a replay's record has of it. */
export interface ReplayRequest extends ReplayFilter {
  readonly again: boolean;
  /** The cursor behind the last event when it was asked for. */
  readonly upTo: string;
}

/** Notes that events up to now shall be handed over again; answers the replay's id. */
export async function requestReplay(
  scope: Scope,
  subscription: { readonly name: string; readonly types: readonly string[] },
  filter: ReplayFilter,
  options: ReplayOptions,
): Promise<string> {
  const { metadata, workspace, principal, ids } = scope;
  const { name, types } = subscription;
  const id = ids.next();
  // What comes from now on comes anyway.
  const upTo = await metadata.latestEventCursor();
  const mine = types.filter((type) => filter.types?.includes(type) ?? true);
  const body = {
    ...filter,
    types: mine,
    again: options.again === true,
    upTo,
  } as unknown as JsonObject;
  const columns = { subscription: name, state: 'RUNNING', handled: 0, failed: 0 };
  await metadata.commit({
    workspace,
    principal: principal.id,
    changes: [
      { op: 'create', kind: 'event_replay', id, columns, body },
      { op: 'emit', event: requestOf(scope, name) },
    ],
  });
  return id;
}
