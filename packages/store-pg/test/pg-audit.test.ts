import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type AuditProblem, openPlatform, type Platform } from '@keelson/core';
import { expect, test } from 'vitest';
import { pgBackend } from '../src/index.ts';
import { describeOnPg } from './server/test-database.ts';

interface Row {
  readonly ctid: string;
  readonly subject: string;
  readonly place: string;
}

await describeOnPg('the audit in PostgreSQL', ({ url, freshSchema, query }) => {
  async function withPlatform(work: (platform: Platform, schema: string) => Promise<void>) {
    const schema = freshSchema();
    const parent = mkdtempSync(join(tmpdir(), 'keelson-pg-audit-'));
    const backend = pgBackend({ url, schema });
    const dir = join(parent, '.keelson');
    const platform = await openPlatform({ dir, metadata: backend, series: backend, access: true });
    try {
      await work(platform, schema);
    } finally {
      await platform.close();
      rmSync(parent, { recursive: true });
    }
  }

  async function act(platform: Platform): Promise<void> {
    const { registry, deployments, operations, events } = platform;
    const from = { files: { m: Buffer.from('one') } };
    const { id } = await registry.register({ model: 'fraud', from, format: 'JS' });
    await registry.setPolicy('fraud', {
      transitions: [],
      singleProduction: true,
      selfApproval: true,
    });
    await deployments.create({ name: 'api', versionId: id, environment: 'STAGING' });
    await operations.access.grant({ principal: 'user:ana', role: 'viewer' });
    await operations.access.revoke({ principal: 'user:ana' });
    await events.publish({ type: 'invoice.sent', subject: 'x', payload: { total: 1.5, n: -0 } });
  }

  test('verifies, and a sample of what is altered in it is found and named', async () => {
    await withPlatform(async (platform, schema) => {
      const { audit } = platform.operations;
      await act(platform);
      await audit.seal();
      const whole = await audit.verify();
      expect(whole.problems).toEqual([]);
      expect(whole).toMatchObject({ intact: true, unsealed: { entries: 0, events: 0 } });
      const tables = {
        rec_audit_entry: `SELECT ctid::text, c_subject AS subject, c_sequence::text AS place FROM ${schema}.rec_audit_entry`,
        rec_audit_seal: `SELECT ctid::text, '' AS subject, c_number::text AS place FROM ${schema}.rec_audit_seal`,
        event: `SELECT ctid::text, subject, id AS place FROM ${schema}.event WHERE ws = 'default'`,
      };
      const missed: string[] = [];
      let tried = 0;
      for (const [table, rowsOf] of Object.entries(tables)) {
        await query(`ALTER TABLE ${schema}.${table} DISABLE TRIGGER ALL`);
        const columns = await query(
          `SELECT column_name AS name, data_type AS type FROM information_schema.columns
           WHERE table_schema = $1 AND table_name = $2`,
          [schema, table],
        );
        const rows = (await query(`${rowsOf} ORDER BY 2, 3`)) as unknown as Row[];
        for (const { name, type } of columns as { name: string; type: string }[]) {
          // How rows are found, and not what they say.
          if (['rid', 'tx', 'seq', 'subject_key'].includes(name)) continue;
          // By name: a row that was altered lies elsewhere.
          const row = rows[tried % rows.length] as Row;
          const altered = alteredSql(name, type);
          const at = 'ctid = $1::tid';
          const [before] = await query(
            `SELECT "${name}"::text AS v FROM ${schema}.${table} WHERE ${at}`,
            [row.ctid],
          );
          if (before === undefined || before['v'] === null) continue;
          const [now] = await query(
            `UPDATE ${schema}.${table} SET "${name}" = ${altered} WHERE ${at} RETURNING ctid::text`,
            [row.ctid],
          );
          tried += 1;
          const report = await audit.verify();
          if (report.intact || !report.problems.some((problem) => names(problem, table, row))) {
            missed.push(`${table}.${name} ${JSON.stringify(report.problems).slice(0, 500)}`);
          }
          const [back] = await query(
            `UPDATE ${schema}.${table} SET "${name}" = $2::text::${type} WHERE ctid = $1::tid
             RETURNING ctid::text`,
            [now?.['ctid'], before['v']],
          );
          Object.assign(row, { ctid: back?.['ctid'] });
        }
      }
      expect(missed).toEqual([]);
      expect(tried).toBeGreaterThan(25);
      expect((await audit.verify()).problems).toEqual([]);
    });
  });

  test('what is erased is no longer there, and the chains stay whole', async () => {
    await withPlatform(async (platform, schema) => {
      const { audit } = platform.operations;
      await act(platform);
      const planted = 'ana@example.org';
      const payload = { mail: planted };
      await platform.events.publish({ type: 'invoice.sent', subject: 'x', payload });
      await audit.seal();
      const found = await audit.findContent(planted);
      expect(found.events).toHaveLength(1);
      const erasure = await audit.erase({ ...found, reason: 'asked for' });
      // Autovacuum, the log and backups of the server are its owner's.
      expect(erasure).toMatchObject({ events: 1, compacted: false });
      const left = await query(`SELECT 1 FROM ${schema}.event WHERE payload::text LIKE $1`, [
        `%${planted}%`,
      ]);
      expect(left).toEqual([]);
      const report = await audit.verify();
      expect(report.problems).toEqual([]);
      expect(report.erased).toBe(1);
    });
  });
});

/** Another value of the type. */
function alteredSql(name: string, type: string): string {
  if (type === 'jsonb') return `"${name}" || '{"put in": 1}'::jsonb`;
  if (type === 'text') {
    const other = `CASE WHEN substr("${name}", 2, 1) = '1' THEN '2' ELSE '1' END`;
    return `overlay("${name}" placing ${other} from 2 for 1)`;
  }
  return `"${name}" + 1000`;
}

function names(problem: AuditProblem, table: string, { subject, place }: Row): boolean {
  if (table === 'event') return problem.event === place;
  if (table === 'rec_audit_seal') return problem.seal === Number(place);
  return problem.subject === subject && problem.sequence === Number(place);
}
