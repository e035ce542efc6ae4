import type { JsonObject } from '../json.ts';
import type { NotificationContent } from './notification-content.ts';

/** Where time comes from; injected, so that time-dependent behaviour is tested without waiting. */
export interface Clock {
  /** Epoch ms. */
  now(): number;
}

/** Where ids come from. */
export interface Ids {
  /** A new UUIDv7; those of one process ascend. */
  next(): string;
}

/** Structured logs; a pino instance fits as it is. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** How bad something is that people are told. */
export type Severity = 'INFO' | 'WARNING' | 'CRITICAL' | 'EMERGENCY';

/** Something to tell people. */
export interface Notification {
  /** The same at each attempt: receivers leave out what they have had. */
  readonly id: string;
  /** What it is of, such as `alert.triggered`. */
  readonly type: string;
  /** The same for all that concerns one trouble: what opens it, and what ends it. */
  readonly key: string;
  /** Whether the trouble begins (or is told anew), somebody looks at it, or it is over. */
  readonly state: 'OPEN' | 'ACKNOWLEDGED' | 'RESOLVED';
  readonly severity: Severity;
  /** When it happened, in epoch ms. */
  readonly at: number;
  readonly title: string;
  readonly text: string;
  readonly details: JsonObject;
  readonly correlationId: string;
  /** The same in parts, where there are such; a channel that does not show them has title, text and details. */
  readonly content?: NotificationContent;
  /** It says all that is to be said of its trouble: earlier ones of the same key that wait need not be sent. */
  readonly supersedes?: boolean;
}

/** What a receiver said to a notification that it took. */
export interface NotifierReceipt {
  /** Of HTTP or SMTP, such as 202 or 250. */
  readonly code?: number;
  /** In the receiver's words, cut short. */
  readonly said?: string;
  /** Why the receiver shows nobody what it took, such as a silence of Alertmanager. */
  readonly suppressed?: string;
}

/**
 * Delivers notifications; resolves when the receiver has confirmed, rejects otherwise: with FAILED or
 * INVALID where no later attempt will succeed, with anything else where one may (`details.retryAfterMs`
 * says when).
 */
export interface Notifier {
  /** Unique among the notifiers of a platform; the queue of what waits is kept under it. */
  readonly name: string;
  notify(notification: Notification, signal: AbortSignal): Promise<NotifierReceipt | undefined>;
}

/** Keys for signing, sealing and encryption. */
export interface KeyProvider {
  /** The key of that id, or the current one. NOT_FOUND when there is none. */
  key(
    purpose: 'sign' | 'encrypt' | 'pseudonymise',
    id?: string,
  ): Promise<{
    readonly id: string;
    readonly bytes: Uint8Array;
  }>;
}

/** Secrets by name; they never reach logs, events or errors. */
export interface SecretProvider {
  /** `fresh` passes over whatever is cached: what was answered before was refused. */
  secret(name: string, options?: { readonly fresh?: boolean }): Promise<string | undefined>;
}

/** A person or service that acts. */
export interface Principal {
  /** Such as `user:ana` or `service:trainer`. */
  readonly id: string;
  /**
   * Roles that come with who they are, from a token say: `editor` in the workspace that the platform was
   * opened on, `editor@workspace:team-a`, `admin@platform`.
   */
  readonly roles: readonly string[];
  /** Nothing but these permissions, such as `tracking.*`; no limit when left out. */
  readonly scopes?: readonly string[];
  /** The API key that proved who this is: `key:<id>`. It must still be good when something is done. */
  readonly credential?: string;
}

/** Decides who may do what. */
export interface Authorizer {
  authorize(request: {
    readonly principal: Principal;
    readonly workspace: string;
    /** Such as `model.promote`. */
    readonly action: string;
    /** Such as `model:fraud`, `run:0198…`, `workspace:default`. */
    readonly resource: string;
    /** A refusal only leaves something out of an answer; nobody need be told of it. */
    readonly quiet?: boolean;
  }): Promise<{ readonly allowed: boolean; readonly reason: string }>;
  /**
   * Whether the principal may do it on something in the workspace: lists then leave out what they may not
   * see. Where it is left out, lists are for those who may see the workspace.
   */
  allowsSome?(request: {
    readonly principal: Principal;
    readonly workspace: string;
    readonly action: string;
  }): Promise<boolean>;
  /**
   * The names of the roles that the principal has on the resource, for policies that ask for one. Where it is
   * left out, those that the principal carries count.
   */
  roles?(request: {
    readonly principal: Principal;
    readonly workspace: string;
    readonly resource: string;
  }): Promise<readonly string[]>;
}
