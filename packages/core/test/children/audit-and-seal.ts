/**
 * Commits audited events of a few subjects that others commit to as well, and seals, until it is killed:
 * `audit-and-seal <dir>`. Prints the id of each event once it is acknowledged.
 */
import type { EventDraft } from '../../src/contracts/event.ts';
import { openStores } from '../../src/embedded/open-stores.ts';
import { auditedStore } from '../../src/operations/audit/audited-store.ts';
import { createSealingLoop } from '../../src/operations/audit/sealing-loop.ts';
import { platformKinds } from '../../src/platform-kinds.ts';
import { ownerFromText, ownerState, ownerText } from '../../src/process-owner.ts';
import { uuidV7 } from '../../src/uuid.ts';
import { testBackends } from '../test-backends.ts';

const [dir = ''] = process.argv.slice(2);
const stores = await openStores({ ...(await testBackends(dir)), dir, kinds: platformKinds });
const ids = { next: () => uuidV7() };
const metadata = auditedStore(stores.metadata, { clock: { now: () => Date.now() }, ids });
const quiet = () => undefined;
const logger = { debug: quiet, info: quiet, warn: quiet, error: quiet };
const principal = { id: 'user:child', roles: [] };
// Events have waited long enough at once.
const clock = { now: () => Date.now() + 120_000 };
const loop = createSealingLoop(
  { metadata, principal, clock, logger },
  {
    self: ownerText(),
    dead: (all) => all.filter((owner) => ownerState(ownerFromText(owner)) === 'dead'),
  },
);

async function emit(n: number): Promise<void> {
  const id = uuidV7();
  const event: EventDraft = {
    ...{ id, type: 'model.noted', subject: `model:m${n % 3}`, source: 'test', at: Date.now() },
    ...{ payload: { n }, schemaVersion: 1, correlationId: id, principal: principal.id },
  };
  const workspace = n % 5 === 0 ? 'other' : 'default';
  await metadata.commit({
    ...{ workspace, principal: principal.id },
    changes: [{ op: 'emit', event }],
  });
  console.log(`${workspace} ${id}`);
}

async function seal(): Promise<never> {
  const { signal } = new AbortController();
  for (;;) {
    await loop.runOnce(signal);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

console.log('ready');
void seal();
for (let n = 0; ; n += 1) await emit(n);
