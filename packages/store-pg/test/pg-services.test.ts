import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { describeOnPg } from './server/test-database.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const vitest = fileURLToPath(new URL('../../../node_modules/vitest/vitest.mjs', import.meta.url));
const backends = fileURLToPath(new URL('./pg-test-backends.ts', import.meta.url));

/** What leans most on a store. The long form has everything: `KEELSON_KILLS=20 ROOMS=tracking,registry,pipelines,deployments,monitoring,events vitest run pg-services`. */
const rooms = (
  process.env['ROOMS'] ??
  'tracking/runs,tracking/search,tracking/params,foreign-principal,operations/access,operations/reconcile,registry/lineage,registry/registry.test,registry/transitions,registry/stage-effects,pipelines/flow,pipelines/cache/step-caching,pipelines/schedules/schedules,pipelines/executors/external-steps,pipelines/admission/admission,deployments/deploy.test,deployments/rollback,monitoring/responses/retraining'
).split(',');

await describeOnPg("core's own tests of its services", ({ url }) => {
  test(`${rooms.join(', ')} pass them with records and series in PostgreSQL`, async () => {
    const { code, output } = await run([
      ...['run', ...rooms.map((room) => `packages/core/src/${room}`)],
      ...['--testTimeout=120000', '--maxWorkers=1'],
    ]);
    expect(output).toMatch(/\d{2,} passed, 0 failed/);
    expect(code, output).toBe(0);
  }, 900_000);

  function run(args: readonly string[]): Promise<{ code: unknown; output: string }> {
    // Fewer kills than on SQLite: the fault bed has the many.
    const kills = process.env['KEELSON_KILLS'] ?? '4';
    const env = {
      ...process.env,
      ...{ KEELSON_TEST_PG_URL: url, KEELSON_TEST_BACKENDS: backends, KEELSON_KILLS: kills },
    };
    const options = { cwd: root, env, maxBuffer: 2 ** 26 };
    return new Promise((resolve) => {
      execFile(process.execPath, [vitest, ...args], options, (error, stdout, stderr) => {
        resolve({ code: error?.code ?? 0, output: stdout + stderr });
      });
    });
  }
});
