import { randomBytes } from 'node:crypto';
import {
  isKeelsonError,
  KeelsonError,
  type Platform,
  type Principal,
  type Services,
  verifyWebhook,
} from '@keelson/core';
import type { RequestHeaders } from '../http/exchange.ts';

/** A trigger that others may call: what proves that it is they. */
export interface Webhook {
  /**
   * What both sides know: base64 behind `whsec_`, or any text; several while they rotate. At least 16 characters.
   */
  readonly secrets: string | readonly string[];
  /** As whom it starts its pipeline; as the platform itself when left out. */
  readonly principal?: Principal;
  /** How far the time of a signature may be from now, in ms; 5 minutes when left out. */
  readonly toleranceMs?: number;
}

/** A call that was signed by somebody who knows the secret. */
export interface SignedCall {
  /** The same at each attempt of its sender. */
  readonly id: string;
  readonly payload: unknown;
  /** As whoever it acts as. */
  readonly services: Services;
}

/** Proves calls of webhooks. */
export interface Webhooks {
  /** FORBIDDEN, with `details.httpStatus` 401, for what proves nothing, and alike for a trigger that takes no calls. */
  prove(trigger: string, headers: RequestHeaders, bytes: Uint8Array): SignedCall;
}

/** INVALID, naming the trigger, for a secret that can be guessed. */
export function createWebhooks(
  platform: Platform,
  options: {
    readonly webhooks?: Readonly<Record<string, Webhook>> | undefined;
    readonly workspace?: string | undefined;
  },
): Webhooks {
  const known = new Map(Object.entries(options.webhooks ?? {}));
  for (const [trigger, { secrets }] of known) assertSecrets(trigger, [secrets].flat());
  // An unknown trigger costs what a known one does, and is told apart by nothing.
  const nobody: Webhook = { secrets: randomBytes(32).toString('base64') };

  return {
    prove(trigger, headers, bytes) {
      const { secrets, toleranceMs, principal } = known.get(trigger) ?? nobody;
      try {
        const { id, payload } = verifyWebhook({
          ...{ headers, body: bytes, secrets },
          ...(toleranceMs === undefined ? {} : { toleranceMs }),
        });
        const workspace = options.workspace ?? platform.workspace;
        const isOwn = principal === undefined && workspace === platform.workspace;
        const services = isOwn
          ? platform
          : platform.as({ workspace, ...(principal === undefined ? {} : { principal }) });
        return { id, payload, services };
      } catch (error) {
        if (!isKeelsonError(error, 'FORBIDDEN')) throw error;
        throw new KeelsonError('FORBIDDEN', error.message, { details: { httpStatus: 401 } });
      }
    },
  };
}

function assertSecrets(trigger: string, secrets: readonly string[]): void {
  if (secrets.length > 0 && secrets.every((secret) => secret.length >= 16)) return;
  throw new KeelsonError(
    'INVALID',
    `Webhook ${trigger} needs secrets of 16 characters at least, such as whsec_ and 32 random bytes in base64.`,
    { details: { trigger } },
  );
}
