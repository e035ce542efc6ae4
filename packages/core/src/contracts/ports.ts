import type { JsonObject } from '../json.ts';

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

/** Something to tell people. */
export interface Notification {
  readonly id: string;
  readonly severity: 'INFO' | 'WARNING' | 'CRITICAL' | 'EMERGENCY';
  readonly title: string;
  readonly text: string;
  readonly details: JsonObject;
  readonly correlationId: string;
}

/** Delivers notifications; resolves when the receiver has confirmed, rejects otherwise. */
export interface Notifier {
  readonly name: string;
  notify(notification: Notification, signal: AbortSignal): Promise<void>;
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
  secret(name: string): Promise<string | undefined>;
}

/** A person or service that acts. */
export interface Principal {
  /** Such as `user:ana` or `service:trainer`. */
  readonly id: string;
  readonly roles: readonly string[];
}

/** Decides who may do what. */
export interface Authorizer {
  authorize(request: {
    readonly principal: Principal;
    readonly workspace: string;
    /** Such as `model.promote`. */
    readonly action: string;
    readonly resource: string;
  }): Promise<{ readonly allowed: boolean; readonly reason: string }>;
}
