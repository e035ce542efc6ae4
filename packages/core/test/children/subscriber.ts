/**
 * Handles the events `thing.done` of the subscription `shared` until it is killed: `subscriber <dir>
 * <how>`. Prints `handling <n> <subject>` and `handled <n> <subject>`. How: `count` adds one to the tally
 * of the event, by its receipt; `hang` never comes back; `slow` takes 150 ms;
 * `poison` ends the process at an event of the subject `poison`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Scope } from '../../src/contracts/scope.ts';
import { openStores } from '../../src/embedded/open-stores.ts';
import { createEvents } from '../../src/events/events.ts';
import { LoopRunner } from '../../src/operations/loop-runner.ts';
import { ownerFromText, ownerState, ownerText } from '../../src/process-owner.ts';
import { uuidV7 } from '../../src/uuid.ts';
import { testBackends } from '../test-backends.ts';
import { eventTestKinds } from './event-test-kinds.ts';

const [dir = '', how = ''] = process.argv.slice(2);
const stores = await openStores({ ...(await testBackends(dir)), dir, kinds: eventTestKinds });
const { metadata, series } = stores;
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
  metadata,
  series,
  artifacts: stores.artifacts.space(workspace),
  artifactUri: String,
  clock: { now: () => Date.now() },
  ids: { next: () => uuidV7() },
  logger,
  authorizer: { authorize: async () => ({ allowed: true, reason: 'a test' }) },
};
const runner = new LoopRunner(logger);
const events = createEvents(
  scope,
  {
    self: ownerText(),
    dead: (all) => all.filter((owner) => ownerState(ownerFromText(owner)) === 'dead'),
  },
  (loop) => runner.add(loop),
);
await events.subscribe(
  'shared',
  { types: ['thing.done'], from: 'start' },
  async (event, { receipt }) => {
    console.log(`handling ${event.subjectSequence} ${event.subject}`);
    if (how === 'poison' && event.subject === 'poison') process.kill(process.pid, 'SIGKILL');
    if (how === 'hang') await new Promise(() => undefined);
    if (how === 'slow') await sleep(150);
    if (how === 'count') {
      const tally = { kind: 'tally', id: event.id };
      const exists = (await metadata.find(workspace, 'tally', event.id)) !== undefined;
      await metadata.commit({
        workspace,
        principal: 'child',
        changes: [
          receipt(),
          exists
            ? { op: 'adjust', ...tally, column: 'count', by: 1 }
            : { op: 'create', ...tally, columns: { count: 1 } },
        ],
      });
    }
    console.log(`handled ${event.subjectSequence} ${event.subject}`);
  },
);
// Only now can others count on the subscription.
console.log('ready');
setInterval(quiet, 1000);
