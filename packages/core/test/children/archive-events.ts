/**
 * Moves events that are due into archives until it is killed: `archive-events <dir> <point>`. At the point
 * it prints `at <point>` and hangs; with `never` as the point it goes on and prints `round` after each.
 */
import type { Scope } from '../../src/contracts/scope.ts';
import { openStores } from '../../src/embedded/open-stores.ts';
import { retentionTimes } from '../../src/events/retention.ts';
import { createRetentionLoop } from '../../src/events/retention-loop.ts';
import { ownerFromText, ownerState, ownerText } from '../../src/process-owner.ts';
import { uuidV7 } from '../../src/uuid.ts';
import { testBackends } from '../test-backends.ts';
import { retentionTestKinds } from './event-test-kinds.ts';

const [dir = '', point = 'never'] = process.argv.slice(2);
const stores = await openStores({ ...(await testBackends(dir)), dir, kinds: retentionTestKinds });
const quiet = () => undefined;
const logger = {
  debug: quiet,
  info: quiet,
  warn: quiet,
  error: (_: object, message: string) => console.log(`error ${message}`),
};
const workspace = 'default';
const scope: Scope = {
  workspace,
  principal: { id: 'user:child', roles: [] },
  metadata: stores.metadata,
  series: stores.series,
  artifacts: stores.artifacts.space(workspace),
  artifactUri: String,
  clock: { now: () => Date.now() },
  ids: { next: () => uuidV7() },
  logger,
  authorizer: { authorize: async () => ({ allowed: true, reason: 'a test' }) },
};
const owners = {
  self: ownerText(),
  dead: (all: readonly string[]) =>
    all.filter((owner) => ownerState(ownerFromText(owner)) === 'dead'),
};
const loop = createRetentionLoop(
  scope,
  retentionTimes({ 'thing.*': 1000 }),
  owners,
  async (reached) => {
    if (reached !== point) return;
    console.log(`at ${reached}`);
    setInterval(quiet, 1000);
    await new Promise(quiet);
  },
);
console.log('ready');
const { signal } = new AbortController();
for (;;) {
  await loop.runOnce(signal);
  console.log('round');
}
