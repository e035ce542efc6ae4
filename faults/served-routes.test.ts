import { expect, test } from 'vitest';
import { describeOnPg } from '../packages/store-pg/test/server/test-database.ts';
import { changeServedRoutes } from './served-routes.ts';

await describeOnPg('two processes that serve one deployment', ({ url, freshSchema, query }) => {
  test('have every change of its weights within a second, and wholly; one that sums to 99 they refuse', async () => {
    const schema = freshSchema();
    const answers = await changeServedRoutes({
      ...{ url, schema, changes: 20, mayBeLate: 2 },
      async last(servers, route) {
        const targets = route.targets.map((target) => ({ ...target, weightPercent: 99 }));
        // Past every service, which would refuse it.
        await query(`UPDATE ${schema}.rec_route SET rev = rev + 1, body = $2 WHERE id = $1`, [
          route.deploymentId,
          JSON.stringify({ ...route, targets }),
        ]);
        for (const server of servers) {
          await server.until('a refusal', () => server.refusals.some((why) => /99/.test(why)));
          expect(server.inForce.at(-1)?.inForce).toBe(24);
        }
      },
    });
    expect(answers).toBeGreaterThan(20);
  }, 60_000);
});
