import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import { openAuditedWorld } from '../../../test/audit/audited-world.ts';
import { openTestScope } from '../../../test/open-test-scope.ts';
import { retentionTimes } from '../../events/retention.ts';
import { createRetentionLoop } from '../../events/retention-loop.ts';
import { platformKinds } from '../../platform-kinds.ts';
import { uuidV7 } from '../../uuid.ts';
import { auditedStore } from './audited-store.ts';

const planted = 'ana.planted@example.org';
const weekMs = 7 * 86_400_000;

/** The files below a directory in which the text stands, unpacked where they are packed. */
function filesWith(dir: string, text: string): readonly string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => {
      const bytes = readFileSync(path);
      const packed = bytes[0] === 0x1f && bytes[1] === 0x8b;
      return bytes.includes(text) || (packed && gunzipSync(bytes).includes(text));
    });
}

/** Moves events of invoices into archives, as a week later. */
async function archiveInvoices(dir: string): Promise<void> {
  await using opened = await openTestScope({
    kinds: platformKinds,
    dir,
    clock: { now: () => Date.now() + weekMs },
  });
  const { scope } = opened;
  const metadata = auditedStore(scope.metadata, scope);
  const owners = { self: uuidV7(), dead: () => [] };
  const times = retentionTimes({ 'invoice.*': 1000 });
  const loop = createRetentionLoop({ ...scope, metadata }, times, owners);
  while (await loop.runOnce(new AbortController().signal));
}

test('what is erased is nowhere in the files, the chains stay whole, and it is told who erased what', async () => {
  const { platform, dir, versionIds } = await openAuditedWorld();
  const { audit } = platform.operations;
  const publish = (type: string) =>
    platform.events.publish({ type, subject: 'customer:4711', payload: { mail: planted } });
  const archivedId = await publish('invoice.sent');
  await audit.seal();
  await archiveInvoices(dir);
  const loggedId = await publish('invoice.paid');
  // An event that an entry attests.
  const eve = platform.as({ principal: { id: 'user:eve', roles: [] } });
  await expect(eve.tracking.getRun(planted)).rejects.toMatchObject({ code: 'FORBIDDEN' });
  const { id: runId } = await platform.tracking.withRun(
    { experiment: 'x', environment: false, tags: { mail: planted, kept: 'yes' } },
    (run) => run,
  );
  const { id: deploymentId } = await platform.deployments.get('api');
  for (const [requestId, mail] of [
    ['r1', planted],
    ['r2', 'ben'],
  ] as const) {
    platform.monitoring.predictions.record({
      ...{ deploymentId, versionId: versionIds[0], requestId, role: 'primary', at: Date.now() },
      ...{ features: { mail }, prediction: mail, latencyMs: 1 },
    });
  }
  await platform.monitoring.predictions.flush();
  await audit.seal();
  expect((await audit.verify()).problems).toEqual([]);
  expect(filesWith(dir, planted).some((path) => path.includes('keelson.db'))).toBe(true);
  expect(filesWith(dir, planted).some((path) => path.includes('artifacts'))).toBe(true);

  const found = await audit.findContent(planted);
  expect(found.events).toContain(archivedId);
  expect(found.events).toContain(loggedId);
  expect(found).toMatchObject({
    tags: [{ runId, keys: ['mail'] }],
    predictions: [{ deploymentId, requestIds: ['r1'] }],
  });
  const before = await audit.verify();
  const erasure = await audit.erase({ ...found, reason: 'asked for' });
  expect(erasure).toMatchObject({ events: 3, tags: 1, predictions: 1, compacted: true });

  expect(await audit.findContent(planted)).toEqual({ events: [], tags: [], predictions: [] });
  expect((await platform.tracking.getRun(runId)).tags).toEqual({ kept: 'yes' });
  const report = await audit.verify();
  expect(report.problems).toEqual([]);
  expect(report.events).toBe(before.events);
  expect(report.erased).toBeGreaterThanOrEqual(3);
  const erased = await Array.fromAsync(audit.erasures());
  expect(erased.map(({ what }) => what)).toEqual(expect.arrayContaining([archivedId, loggedId]));
  for (const { by, erasureId } of erased)
    expect([by, erasureId]).toEqual(['user:lead', erasure.id]);
  await audit.seal();
  expect((await audit.verify()).problems).toEqual([]);
  expect(filesWith(dir, planted)).toEqual([]);
  await platform.close();
  expect(filesWith(dir, planted)).toEqual([]);
});

test('events that are gone without an erasure are named, also where their salts were destroyed', async () => {
  const { platform, dir } = await openAuditedWorld();
  const { audit } = platform.operations;
  const id = await platform.events.publish({ type: 'invoice.lost', subject: 'x' });
  await audit.seal();
  await using opened = await openTestScope({ kinds: platformKinds, dir });
  const { metadata, workspace } = opened.scope;
  const seal = await metadata.find(workspace, 'audit_seal', 'seal:1');
  if (seal === undefined) throw new Error('There is a seal.');
  const salts = JSON.parse(String(seal.columns['salts'])) as unknown[];
  salts[salts.length - 1] = null;
  const columns = { salts: JSON.stringify(salts) };
  const change = { op: 'replace', kind: 'audit_seal', id: seal.id, expect: 1, columns } as const;
  await metadata.commit({ workspace, principal: 'user:eve', changes: [change] });
  expect((await audit.verify()).broken?.problem).toContain('has no salt, and nobody erased it');
  await metadata.removeEvents(workspace, [id]);
  expect((await audit.verify()).broken).toMatchObject({ what: 'event', event: id });
});

test('an erasure that was cut off between its commit and the removal is finished by the same call', async () => {
  const { platform, dir } = await openAuditedWorld();
  const { audit } = platform.operations;
  const id = await platform.events.publish({
    type: 'invoice.sent',
    subject: 'x',
    payload: { mail: planted },
  });
  await audit.seal();
  // What is left when the process dies after the commit: it is noted as erased, and still there.
  await using opened = await openTestScope({ kinds: platformKinds, dir });
  const metadata = auditedStore(opened.scope.metadata, opened.scope);
  const columns = { erasureId: 'e', at: 1, by: 'user:lead' };
  const change = { op: 'create', kind: 'audit_erased', id, columns } as const;
  await metadata.commit({ workspace: 'default', principal: 'user:lead', changes: [change] });
  expect(await audit.erase({ events: [id], reason: 'again' })).toMatchObject({ events: 1 });
  expect((await audit.verify()).problems).toEqual([]);
  expect(filesWith(dir, planted)).toEqual([]);
});

test('sealed events that retention moved are verified in their archives, and missed where one is damaged', async () => {
  const { platform, dir } = await openAuditedWorld();
  const { audit } = platform.operations;
  const id = await platform.events.publish({ type: 'invoice.sent', subject: 'x' });
  await audit.seal();
  await archiveInvoices(dir);
  const whole = await audit.verify();
  expect(whole.problems).toEqual([]);
  // Those of the world, and this one.
  expect(whole.archivedEvents).toBeGreaterThan(1);
  const [archive] = await Array.fromAsync(platform.events.archives());
  const entries = await Array.fromAsync(audit.entries({ subject: 'archives' }));
  expect(entries.map(({ action }) => action)).toEqual(['event_archive created']);
  const [path] = filesWith(dir, 'keelson-events');
  if (path === undefined || archive === undefined) throw new Error('There is an archive.');
  const bytes = readFileSync(path);
  bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
  writeFileSync(path, bytes);
  const report = await audit.verify();
  expect(report.intact).toBe(false);
  expect(report.problems.map(({ event }) => event)).toContain(id);
  expect(report.broken?.problem).toContain('neither in the log nor in an archive');
});
