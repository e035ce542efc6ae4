import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { temporaryDirectory } from '../../test/open-test-platform.ts';
import { edgeKind } from '../contracts/kinds/tracking-kinds.ts';
import { SqliteMetadataStore } from './sqlite-metadata-store.ts';
import { followSql } from './sqlite-reach.ts';

describe('edges are looked up by the node they leave, whichever way they are followed', () => {
  test.each(['forward', 'backward'] as const)('%s', async (direction) => {
    const path = join(await temporaryDirectory(), 'edges.db');
    const clock = { now: () => Date.now() };
    const store = await SqliteMetadataStore.open({ path, kinds: [edgeKind], clock });
    await store.close();
    const db = new DatabaseSync(path);
    for (const roles of [undefined, ['parent']]) {
      const explain = db.prepare(`EXPLAIN QUERY PLAN ${followSql({ direction, roles })}`);
      const values = roles === undefined ? [] : [JSON.stringify(roles)];
      const steps = explain.all('default', '["a"]', ...values).map((row) => String(row['detail']));
      const near = direction === 'forward' ? 'c_from' : 'c_to';
      expect(steps.filter((step) => / e /.test(`${step} `))).toEqual([
        expect.stringMatching(`^SEARCH e USING COVERING INDEX .*ws=\\? AND ${near}=\\?`),
      ]);
    }
    db.close();
  });
});
