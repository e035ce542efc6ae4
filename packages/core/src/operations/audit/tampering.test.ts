import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { openAuditedWorld } from '../../../test/audit/audited-world.ts';
import { type Flip, flipBytes } from '../../../test/audit/flip-bytes.ts';
import type { AuditProblem } from './audit-report.ts';

/** Each byte takes minutes; without it a part is tried, another one each time. */
const everyByte = process.env['KEELSON_EVERY_BYTE'] === '1';
const stride = everyByte ? 1 : 89;
const offset = Math.floor(Math.random() * stride);

/** Whether a problem names what was altered. */
function names(problem: AuditProblem, { table, row }: Flip): boolean {
  switch (table) {
    case 'rec_audit_entry':
      return problem.subject === row['c_subject'] && problem.sequence === row['c_sequence'];
    case 'rec_audit_seal':
      // Of a salt, its event is named with the seal.
      return problem.seal === row['c_number'];
    case 'rec_audit_sealed':
      return problem.what === 'seal' && problem.seal !== undefined;
    case 'event':
      return problem.event === row['id'];
    default:
      return (
        problem.what === 'record' && problem.problem.includes(`Revision ${String(row['rev'])} of`)
      );
  }
}

test(`a flipped byte anywhere in entries, seals, events and attested revisions is found and named (offset ${offset} of ${stride})`, async () => {
  const { platform, dir } = await openAuditedWorld();
  const { audit } = platform.operations;
  await audit.seal();
  expect((await audit.verify()).problems).toEqual([]);
  const path = join(dir, 'keelson.db');
  const tables = [
    ['rec_audit_entry', { leaveOut: ['rid'] }],
    ['rec_audit_seal', { leaveOut: ['rid'] }],
    [
      'rec_audit_sealed',
      { leaveOut: ['rid', 'ws', 'id', 'rev', 'created_at', 'updated_at', 'body'] },
    ],
    ['event', { where: `ws = 'default'` }],
    // Its time is the store's own, and is attested by the entry's.
    [
      'history',
      {
        where: `kind IN ('model', 'model_version', 'route', 'role_grant')`,
        leaveOut: ['seq', 'at'],
      },
    ],
  ] as const;
  const missed: string[] = [];
  const tried: Record<string, number> = {};
  for (const [table, options] of tables) {
    for (const flip of flipBytes(path, table, { stride, offset, ...options })) {
      const { column } = flip;
      tried[`${table}.${column}`] = (tried[`${table}.${column}`] ?? 0) + 1;
      const report = await audit.verify();
      flip.undo();
      const [first] = report.problems;
      const named = report.problems.some((problem) => names(problem, flip));
      if (!report.intact && report.broken === first && named) continue;
      missed.push(
        `${table}.${column} of ${JSON.stringify(flip.row).slice(0, 200)}: ${JSON.stringify(report.problems)}`,
      );
    }
  }
  expect(missed.slice(0, 10)).toEqual([]);
  expect(Object.keys(tried).length).toBeGreaterThan(42);
  if (everyByte) console.log(tried);

  expect((await audit.verify()).problems).toEqual([]);
}, 1_200_000);

describe('what is missing or was put in is named', () => {
  const cases: readonly (readonly [
    what: string,
    sql: string,
    named: Partial<AuditProblem> & { readonly says: string },
  ])[] = [
    [
      'an entry in the middle',
      `DELETE FROM rec_audit_entry WHERE c_subject = 'model:fraud' AND c_sequence = 3`,
      {
        what: 'entry',
        subject: 'model:fraud',
        sequence: 3,
        says: 'Entry 3 of model:fraud is missing',
      },
    ],
    [
      'the end of a sealed chain',
      `DELETE FROM rec_audit_entry WHERE c_subject = 'model:fraud' AND c_sequence >= 4`,
      {
        what: 'entry',
        subject: 'model:fraud',
        sequence: 4,
        says: '4 to 5 are missing, though seal 1',
      },
    ],
    [
      'a whole chain',
      `DELETE FROM rec_audit_entry WHERE c_subject = 'model:fraud'`,
      { what: 'entry', subject: 'model:fraud', sequence: 1, says: '1 to 5 are missing' },
    ],
    ['a seal', `DELETE FROM rec_audit_seal`, { what: 'seal', seal: 1, says: 'Seal 1 is missing' }],
    [
      'an event',
      `DELETE FROM event WHERE type = 'invoice.sent'`,
      { what: 'event', says: 'neither in the log nor in an archive' },
    ],
    [
      'an event that was put in',
      `UPDATE event SET ws = 'default', id = 'forged' WHERE ws = 'other'`,
      {
        what: 'event',
        event: 'forged',
        says: 'lies in the range of seal 1, which does not have it',
      },
    ],
    [
      'a revision of a record',
      `DELETE FROM history WHERE kind = 'route' AND rev = 2`,
      { what: 'record', subject: 'deployment:api', says: 'Revision 2 of route' },
    ],
    [
      'an unsealed event that was put in',
      `INSERT INTO event SELECT seq + 100, ws, 'forged', 'model.promoted', 'model:fraud', 99, source, at,
         schema_version, correlation, causation, principal, payload FROM event WHERE type = 'invoice.sent'`,
      { what: 'event', event: 'forged', says: 'has no entry in the chain of model:fraud' },
    ],
  ];
  test.each(cases)('%s', async (_what, sql, { says, ...named }) => {
    const { platform, dir } = await openAuditedWorld();
    const { audit } = platform.operations;
    await audit.seal();
    const db = new DatabaseSync(join(dir, 'keelson.db'));
    for (const { name } of db
      .prepare(`SELECT name FROM sqlite_schema WHERE type = 'trigger'`)
      .all()) {
      db.exec(`DROP TRIGGER "${String(name)}"`);
    }
    const altered = db.prepare(sql).run();
    db.close();
    expect(Number(altered.changes)).toBeGreaterThan(0);
    const report = await audit.verify();
    expect(report.intact).toBe(false);
    expect(report.broken).toMatchObject(named);
    expect(report.broken?.problem).toContain(says);
  });

  test('an unsealed end is cut off unseen but for its events, and an anchor finds a chain written anew', async () => {
    const { platform, dir } = await openAuditedWorld();
    const { audit } = platform.operations;
    const cut = new DatabaseSync(join(dir, 'keelson.db'));
    cut.exec(`DELETE FROM rec_audit_entry WHERE c_subject = 'model:fraud' AND c_sequence = 5`);
    const report = await audit.verify();
    expect(report.broken?.problem).toMatch(
      /model\.promoted of model:fraud\) has no entry in the chain/,
    );
    await audit.seal();
    const { lastSeal } = await audit.verify();
    if (lastSeal === undefined) throw new Error('Nothing was sealed.');
    expect((await audit.verify({ anchor: lastSeal })).broken?.what).toBe('event');
    cut.exec('DELETE FROM rec_audit_seal; DELETE FROM rec_audit_sealed');
    cut.close();
    await audit.seal();
    const anew = await audit.verify({ anchor: lastSeal });
    expect(anew.problems.some(({ problem }) => problem.includes('was written anew'))).toBe(true);
  });
});
