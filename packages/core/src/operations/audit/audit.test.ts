import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { openAuditedWorld } from '../../../test/audit/audited-world.ts';
import { openTestPlatform } from '../../../test/open-test-platform.ts';
import type { Stage, TransitionRule } from '../../index.ts';
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

const script = fileURLToPath(
  new URL('../../../../../docs/verify-audit-export.mjs', import.meta.url),
);

/** What the script for outsiders says of a file. */
function outsider(path: string): string {
  try {
    return execFileSync(process.execPath, [script, path], { encoding: 'utf8', stdio: 'pipe' });
  } catch (error) {
    return String((error as { stderr?: unknown }).stderr);
  }
}

test('an outsider verifies an export with nothing but a short script, and finds what was altered', async () => {
  const { platform, dir } = await openAuditedWorld();
  const { audit } = platform.operations;
  // Line ends of Unicode are none of a file.
  await platform.operations.access.grant({
    ...{ principal: 'user:cleo', role: 'viewer', reason: 'a\u2028b' },
  });
  await audit.seal();
  const lines: string[] = [];
  for await (const line of audit.export({ events: true })) lines.push(line);
  expect(JSON.parse(lines[0] as string)).toMatchObject({ format: 'keelson-audit', version: 1 });
  const path = join(dir, 'trail.jsonl');
  const said = (changed: readonly string[]): string => {
    writeFileSync(path, changed.join(''));
    return outsider(path);
  };
  expect(said(lines)).toBe(`${lines.length - 1} links are whole\n`);
  const report = await audit.verify();
  expect(lines.length - 1).toBe(report.entries + report.seals);
  const at = lines.findIndex((line) => line.includes('promotion.requested'));
  const alter = (from: string, to: string): readonly string[] =>
    lines.map((line, i) => (i === at ? line.replace(from, to) : line));
  expect(said(alter('user:lead', 'user:eve'))).toContain('entry of model:fraud 3 was altered');
  expect(said(alter('"salt":"', '"salt":"x'))).toContain('of entry of model:fraud 3 was altered');
  expect(said(lines.toSpliced(at, 1))).toContain('entry of model:fraud 4 does not follow');
  const only: string[] = [];
  for await (const line of audit.export({ subject: 'model:fraud' })) only.push(line);
  expect(said(only)).toBe('6 links are whole\n');
});

test('asOf tells what something was at a time, by id and by name, and who made it so', async () => {
  const { platform, versionIds } = await openAuditedWorld();
  const { operations, deployments } = platform;
  const [first, second] = await deployments.routeHistory('api');
  if (first === undefined || second === undefined) throw new Error('There are two routes.');
  const target = async (at: number): Promise<unknown> =>
    (await operations.asOf('route', 'api', at))?.body['targets'];
  expect(await target(first.at - 1)).toBeUndefined();
  expect(await target(second.at)).toMatchObject([{ versionId: versionIds[1] }]);
  expect(await target(Number.POSITIVE_INFINITY)).toMatchObject([{ versionId: versionIds[1] }]);
  const before = await operations.asOf('route', 'api', new Date(second.at - 1));
  // Both may have come in one millisecond.
  if (first.at < second.at) {
    expect(before).toMatchObject({ kind: 'route', revision: 1, since: first.at, by: 'user:lead' });
  }
  const version = await operations.asOf('model_version', versionIds[0], Date.now());
  expect(version).toMatchObject({ by: 'user:ana', columns: { stage: 'PRODUCTION' } });
  const grants = await operations.audit.entries({ subject: 'principal:user:ana' });
  for await (const { attests, at } of grants) {
    for (const one of attests) {
      if (!('kind' in one) || one.revision !== 2) continue;
      // Revoked: it was there, and is not any more.
      expect(await operations.asOf('role_grant', one.id, at + 1000)).toBeUndefined();
    }
  }
  await expect(operations.asOf('edge', 'x', 0)).rejects.toMatchObject({ code: 'INVALID' });
  await expect(operations.asOf('run', 'x', Number.NaN)).rejects.toMatchObject({ code: 'INVALID' });
  expect(await operations.asOf('run', 'none', 0)).toBeUndefined();
});

test.each([0, 1])(
  'commits with several events verify wherever a page of the log ends (%i)',
  async (more) => {
    const { platform } = await openTestPlatform();
    const { registry, operations } = platform;
    const way = (from: Stage, to: Stage): TransitionRule => ({
      ...{ from, to, checks: [], approvals: 0, approverRoles: [] },
    });
    const transitions = [way('DEVELOPMENT', 'STAGING'), way('STAGING', 'DEVELOPMENT')];
    const policy = { transitions, singleProduction: true, selfApproval: false };
    await registry.createModel({ name: 'm', policy });
    const files = { a: new Uint8Array([1]) };
    const { version } = await registry.register({ model: 'm', from: { files }, format: 'CUSTOM' });
    const other = { model: 'other', format: 'CUSTOM' } as const;
    if (more === 1) await registry.register({ ...other, from: { files } });
    // Two events with each commit: with one before them or not, a page ends between two.
    for (let i = 0; i < 255; i += 1) {
      const to = i % 2 === 0 ? 'STAGING' : 'DEVELOPMENT';
      await registry.requestTransition({ model: 'm', version, to, reason: 'r' });
    }
    expect(await operations.audit.verify()).toMatchObject({ intact: true, problems: [] });
  },
  60_000,
);
