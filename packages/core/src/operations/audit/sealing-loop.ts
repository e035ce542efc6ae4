import type { StoredEvent } from '../../contracts/event.ts';
import type { Loop } from '../../contracts/loop.ts';
import type { Change, Claimed } from '../../contracts/metadata-store.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { holdClaim } from '../../events/hold-claim.ts';
import type { Owners } from '../../events/subscription.ts';
import { platformWorkspace } from '../access-resources.ts';
import { sealWorkspace } from './sealing.ts';

const kind = 'audit_sealer';
const id = 'audit-sealer';
const leaseMs = 30_000;
const pageSize = 1000;
/** Events wait so long for a seal at most, and shorter where many do. */
const patienceMs = 60_000;
const worthwhile = 500;

type LoopScope = Pick<Scope, 'metadata' | 'principal' | 'clock' | 'logger'>;

/**
 * Seals what has happened, in all workspaces: one process at a time looks through the log for workspaces with
 * news. Killed anywhere, another goes on; a process that was taken over seals nothing twice, because every
 * seal replaces what the one before has left.
 */
export function createSealingLoop(scope: LoopScope, owners: Owners): Loop {
  const { metadata } = scope;
  const workspace = platformWorkspace;

  async function claim(): Promise<Claimed | undefined> {
    if ((await metadata.find(workspace, kind, id)) === undefined) {
      try {
        await commit([{ op: 'create', kind, id, columns: {} }]);
      } catch (error) {
        if (!isKeelsonError(error, 'CONFLICT')) throw error;
      }
    }
    const held = await metadata.claimOwners(kind, workspace);
    const takeFrom = owners.dead(held);
    const request = { workspace, limit: 1, owner: owners.self, leaseMs, takeFrom };
    const [claimed] = await metadata.claim(kind, request);
    return claimed;
  }

  async function commit(changes: readonly Change[]): Promise<void> {
    await metadata.commit({ workspace, principal: scope.principal.id, changes });
  }

  /** Events that are to be sealed now, of all workspaces; none where it is better to wait. */
  async function newsBehind(record: StoredRecord | undefined): Promise<readonly StoredEvent[]> {
    const from = record?.columns['cursor'];
    const after = typeof from === 'string' ? { after: from } : {};
    const { events } = await metadata.readEvents({ limit: pageSize, ...after });
    const [first] = events;
    if (first === undefined) return [];
    const waited = scope.clock.now() - first.at;
    return events.length < worthwhile && waited >= 0 && waited < patienceMs ? [] : events;
  }

  async function sealNews(claimed: Claimed, signal: AbortSignal): Promise<boolean> {
    const { owner, fence, record } = claimed;
    const events = await newsBehind(record);
    if (events.length === 0) return false;
    for (const name of new Set(events.map((event) => event.workspace))) {
      await sealWorkspace({ ...scope, workspace: name }, signal);
    }
    const columns = { cursor: events.at(-1)?.cursor };
    await commit([
      { op: 'hold', kind, id, owner, fence },
      { op: 'replace', kind, id, expect: record.revision, columns },
    ]);
    return true;
  }

  return {
    name: 'audit-sealing',
    idleMs: 10_000,
    async runOnce(given) {
      // An idle platform writes nothing.
      const due = await newsBehind(await metadata.find(workspace, kind, id));
      if (due.length === 0) return false;
      const claimed = await claim();
      if (claimed === undefined) return false;
      const onFault = (error: unknown) =>
        scope.logger.warn({ component: 'audit', error }, 'The claim on sealing was not kept.');
      const hold = holdClaim(metadata, claimed, { leaseMs, signal: given, onFault });
      try {
        return await sealNews(claimed, hold.signal);
      } catch (error) {
        if (hold.signal.aborted || isKeelsonError(error, 'LOST', 'STALE')) return false;
        throw error;
      } finally {
        await hold.release();
      }
    },
  };
}
