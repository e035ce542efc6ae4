import { expect, test } from 'vitest';
import { openAuditedWorld } from '../../../test/audit/audited-world.ts';
import type { AuditEntry } from './audit-entry.ts';

async function all(entries: AsyncIterable<AuditEntry>): Promise<readonly AuditEntry[]> {
  const found: AuditEntry[] = [];
  for await (const entry of entries) found.push(entry);
  return found;
}

test('what people did stands in the chains of what they did it to, and verifies, sealed or not', async () => {
  const { platform } = await openAuditedWorld();
  const { audit } = platform.operations;
  const before = await audit.verify();
  expect(before.problems).toEqual([]);
  expect(before).toMatchObject({ intact: true, seals: 0, events: 0 });
  expect(before.unsealed.entries).toBe(before.entries);
  expect(before.unsealed.events).toBeGreaterThan(8);

  expect(await audit.seal()).toBe(1);
  const after = await audit.verify();
  expect(after.problems).toEqual([]);
  expect(after).toMatchObject({ intact: true, seals: 1, unsealed: { entries: 0, events: 0 } });
  expect(after.events).toBe(before.unsealed.events);

  const model = await all(audit.entries({ subject: 'model:fraud' }));
  expect(model.map(({ action, principal }) => [action, principal])).toEqual([
    ['model.registered', 'user:lead'],
    ['model.registered', 'user:lead'],
    ['promotion.requested', 'user:lead'],
    ['promotion.requested', 'user:lead'],
    ['model.promoted', 'user:ana'],
  ]);
  expect(model.map(({ sequence }) => sequence)).toEqual([1, 2, 3, 4, 5]);
});
