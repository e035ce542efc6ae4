import type { Claimed, ClaimKey, MetadataStore } from '../contracts/metadata-store.ts';
import { isKeelsonError, KeelsonError } from '../errors.ts';
import { rest } from '../rest.ts';

/** Until its lease ends, nobody can go on with what was not given back. */
const releaseAttempts = 3;
const releaseRestMs = 100;

/** A claim that is kept while work under it goes on. */
export interface Hold {
  /** Aborted with the caller's signal, and as soon as the claim is known to be lost. */
  readonly signal: AbortSignal;
  /** Gives the claim back; never rejects, since the lease ends by itself. */
  release(): Promise<void>;
}

/**
 * Keeps a claim by renewing it three times in each lease. Work that blocks its thread for longer than a
 * lease loses it: the next commit under `hold` tells.
 */
export function holdClaim(
  metadata: Pick<MetadataStore, 'renew' | 'release'>,
  claimed: Claimed,
  options: {
    readonly leaseMs: number;
    readonly signal: AbortSignal;
    /** Told of a store that fails; the work goes on until a commit finds out that the claim is lost. */
    onFault(error: unknown): void;
  },
): Hold {
  const { leaseMs, signal, onFault } = options;
  const { record, owner, fence } = claimed;
  const key: ClaimKey = {
    workspace: record.workspace,
    kind: record.kind,
    id: record.id,
    owner,
    fence,
  };
  const lost = new AbortController();
  let renewing: Promise<void> | undefined;

  async function renew(): Promise<void> {
    try {
      const held = await metadata.renew([key], leaseMs);
      if (held.length > 0) return;
      lost.abort(new KeelsonError('LOST', `Another process has taken over ${record.id}.`));
    } catch (error) {
      onFault(error);
    } finally {
      renewing = undefined;
    }
  }

  const timer = setInterval(() => {
    renewing ??= renew();
  }, leaseMs / 3);
  timer.unref();

  return {
    signal: AbortSignal.any([signal, lost.signal]),
    async release() {
      clearInterval(timer);
      await renewing;
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await metadata.release([key]);
        } catch (error) {
          // One of a store that was closed under the work ends with this process.
          if (isKeelsonError(error, 'CLOSED')) return;
          if (!isKeelsonError(error, 'UNAVAILABLE') || attempt === releaseAttempts) {
            // A lease ends by itself.
            onFault(error);
            return;
          }
        }
        await rest(releaseRestMs, signal);
      }
    },
  };
}
