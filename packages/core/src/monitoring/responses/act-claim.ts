import type { Claimed } from '../../contracts/metadata-store.ts';
import type { Scope } from '../../contracts/scope.ts';
import { type Hold, holdClaim } from '../../events/hold-claim.ts';
import type { Owners } from '../../events/subscription.ts';
import { columnIs } from '../../operations/every-record.ts';

const leaseMs = 15_000;

/** Takes the claim of an act, so that nobody else moves it; undefined while somebody else has it. */
export async function claimAct(
  scope: Scope,
  owners: Owners,
  id: string,
): Promise<Claimed | undefined> {
  const { metadata, workspace } = scope;
  const held = await metadata.claimOwners('response_act', workspace);
  const [claimed] = await metadata.claim('response_act', {
    ...{ workspace, where: columnIs('id', id), limit: 1, owner: owners.self, leaseMs },
    takeFrom: owners.dead(held),
  });
  return claimed;
}

/** Keeps the claim of an act until it is released. */
export function holdAct(scope: Scope, claimed: Claimed, signal: AbortSignal): Hold {
  const { logger, metadata } = scope;
  return holdClaim(metadata, claimed, {
    ...{ leaseMs, signal },
    onFault: (error) =>
      logger.warn(
        { component: 'monitoring', act: claimed.record.id, error },
        'The claim of a response could not be renewed.',
      ),
  });
}
