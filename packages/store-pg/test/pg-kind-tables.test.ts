import { testClaimsOverWorkspaces } from '../../core/test/metadata/claims-over-workspaces.ts';
import { testKindChanges } from '../../core/test/metadata/kind-changes.ts';
import { pgBackend } from '../src/index.ts';
import { describeOnPg } from './server/test-database.ts';
import { silentLogger } from './silent-logger.ts';

await describeOnPg('kinds and their tables', ({ url, freshSchema, query }) => {
  testKindChanges(() => {
    const schema = freshSchema();
    return {
      projects: false,
      open: (...kinds) =>
        pgBackend({ url, schema, maxConnections: 2 }).openMetadata({ kinds, logger: silentLogger }),
      hasTable: async (name) => {
        const [row] = await query('SELECT to_regclass($1) AS found', [`${schema}.${name}`]);
        return row?.['found'] !== null;
      },
      run: async (statement) => {
        await query(`SET search_path TO ${schema}; ${statement}; RESET search_path`);
      },
    };
  });
});

await describeOnPg('claims over all workspaces', ({ url, freshSchema }) => {
  testClaimsOverWorkspaces((kinds) =>
    pgBackend({ url, schema: freshSchema() }).openMetadata({ kinds, logger: silentLogger }),
  );
});
