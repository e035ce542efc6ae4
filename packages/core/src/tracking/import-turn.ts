import type { Change, ClaimKey } from '../contracts/metadata-store.ts';
import type { Scope } from '../contracts/scope.ts';
import { isKeelsonError } from '../errors.ts';
import { type Hold, holdClaim } from '../events/hold-claim.ts';
import { commitChanges } from '../operations/decide-and-commit.ts';
import { columnIs } from '../operations/every-record.ts';
import { ownerFromText, ownerState, ownerText } from '../process-owner.ts';
import { rest } from '../rest.ts';

const kind = 'import_turn';
const id = 'import';
const leaseMs = 30_000;
const lookAgainMs = 250;

/** One import at a time writes into a workspace: whoever has its turn. */
export interface ImportTurn extends AsyncDisposable {
  /** Aborted with the caller's signal, and as soon as the turn is lost. */
  readonly signal: AbortSignal;
  /** Makes a commit LOST unless the turn is still held. */
  readonly hold: Change;
}

/** Waits for the turn; that of a process that has died is taken at once. */
export async function takeImportTurn(scope: Scope, signal: AbortSignal): Promise<ImportTurn> {
  const { metadata, workspace } = scope;
  await makeTurn(scope);
  for (;;) {
    signal.throwIfAborted();
    const owners = await metadata.claimOwners(kind, workspace);
    const dead = owners.filter((owner) => ownerState(ownerFromText(owner)) === 'dead');
    const [claimed] = await metadata.claim(kind, {
      workspace,
      where: columnIs('id', id),
      limit: 1,
      owner: ownerText(),
      leaseMs,
      takeFrom: dead,
    });
    if (claimed === undefined) {
      await rest(lookAgainMs, signal);
      continue;
    }
    const { owner, fence } = claimed;
    const onFault = (error: unknown): void =>
      scope.logger.warn({ component: 'tracking', error }, 'The turn to import was not renewed.');
    const held = holdClaim(metadata, claimed, { leaseMs, signal, onFault });
    return turnOf({ workspace, kind, id, owner, fence }, held);
  }
}

function turnOf({ owner, fence }: ClaimKey, held: Hold): ImportTurn {
  return {
    signal: held.signal,
    hold: { op: 'hold', kind, id, owner, fence },
    [Symbol.asyncDispose]: () => held.release(),
  };
}

async function makeTurn(scope: Scope): Promise<void> {
  if ((await scope.metadata.find(scope.workspace, kind, id)) !== undefined) return;
  try {
    await commitChanges(scope, [{ op: 'create', kind, id, columns: {} }]);
  } catch (error) {
    // Another import has made it.
    if (!isKeelsonError(error, 'CONFLICT')) throw error;
  }
}
