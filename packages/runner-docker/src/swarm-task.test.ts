import { expect, test } from 'vitest';
import { observeTask, type SwarmTask } from './swarm-task.ts';

const facts = {
  key: { workspace: 'w', executionId: 'e', stepId: 's', attempt: 1 },
  units: 1,
  graceMs: 1_000,
};
const at = '2026-01-02T03:04:05.000000006Z';
const told = (status: Partial<SwarmTask['Status']>, node = {}) =>
  observeTask(
    { ID: 't', CreatedAt: at, Status: { State: 'running', Timestamp: at, ...status } },
    facts,
    { name: 'n1', ...node },
  );

test('what a swarm takes away is lost, and what an engine refuses has failed', () => {
  const enforced = {
    State: 'rejected',
    Message: 'task rejected by constraint enforcer',
    Err: 'assigned node no longer meets constraints',
  };
  expect(told(enforced)).toMatchObject({
    state: 'lost',
    reason: 'evicted',
    node: 'n1',
    message: 'The swarm has ended it: assigned node no longer meets constraints',
  });
  expect(told(enforced, { isDown: true })).toMatchObject({ state: 'lost', reason: 'node_lost' });
  const refused = { State: 'rejected', Message: 'preparing', Err: 'No such image: nothing:1' };
  expect(told(refused)).toMatchObject({ state: 'failed', reason: 'image', message: refused.Err });
});

test.each([
  ['running', 'node_lost'],
  ['orphaned', 'node_lost'],
  ['shutdown', 'node_lost'],
])('%s on a node that is down is lost', (State, reason) => {
  expect(told({ State }, { isDown: true })).toMatchObject({ state: 'lost', reason });
});

test('a task that was shut down by somebody else is evicted', () => {
  expect(told({ State: 'shutdown' })).toMatchObject({ state: 'lost', reason: 'evicted' });
});
