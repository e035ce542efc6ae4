import { permissions } from '@keelson/core';
import { Validator } from '@seriousme/openapi-schema-validator';
import { beforeAll, describe, expect, test } from 'vitest';
import { canary } from '../../test/example-bed.ts';
import { OddRequests } from '../../test/odd-requests.ts';
import { shareExampleBed } from '../../test/share-example-bed.ts';
import { calls } from '../mlflow/mlflow.ts';
import { openApiDocument } from './openapi.ts';
import { commonFailures } from './problem.ts';
import { type AnyRoute, rowsOf } from './route.ts';
import { routeTable } from './route-table.ts';
import { exampleRun } from './schemas.ts';

const bed = shareExampleBed();
const rows = rowsOf(routeTable);
const closed = rows.filter(({ row }) => row.permission !== 'open');
const titled = (of: typeof rows) =>
  of.map(
    ({ resource, verb, row }) => [`${row.method} ${row.path} (${resource}.${verb})`, row] as const,
  );

describe('callers without the right', () => {
  const tokens = new Map<string, string>();
  /** All permissions but the one that is asked. */
  const lacking = new Map<string, string>();

  beforeAll(async () => {
    const { access } = bed.platform.operations;
    const all = Object.keys(permissions).filter((name) => !name.startsWith('platform.'));
    for (const permission of new Set(closed.map(({ row }) => row.permission))) {
      const role = `without-${permission.replaceAll('.', '-')}`;
      const principal = `user:${role}`;
      await access.defineRole({
        name: role,
        permissions: all.filter((name) => name !== permission),
      });
      await access.grant({ principal, role });
      const { secret } = await access.createApiKey({ principal, name: role, scopes: ['*'] });
      lacking.set(permission, secret);
    }
    const expiring = await access.createApiKey({
      name: 'old',
      scopes: ['*'],
      expiresAt: Date.now() + 1_000,
    });
    bed.pass(2_000);
    const elsewhere = bed.platform.as({ workspace: 'team-b' }).operations.access;
    await elsewhere.grant({ principal: 'user:bea', role: 'admin' });
    const foreign = await elsewhere.createApiKey({
      principal: 'user:bea',
      name: 'b',
      scopes: ['*'],
    });
    tokens.set('no credentials', '');
    tokens.set('a wrong key', `${bed.token.slice(0, -4)}AAAA`);
    tokens.set('no key at all', 'rubbish');
    tokens.set('an expired key', expiring.secret);
    tokens.set('a key of another workspace', foreign.secret);
  });

  test.each(titled(closed))('%s', async (_, row) => {
    const asked = new Map(tokens).set('too low a role', lacking.get(row.permission) ?? '-');
    for (const [who, token] of asked) {
      const answer = await bed.askExample(row, { token });
      const text = await answer.text();
      expect([401, 403], `${who}: ${text}`).toContain(answer.status);
      expect(answer.status === 401, who).toBe(!/role|workspace/.test(who));
      expect(answer.headers.get('content-type')).toBe('application/problem+json');
      expect(JSON.parse(text)).toMatchObject({
        code: 'FORBIDDEN',
        class: 'permission',
        status: answer.status,
      });
      expect(text, who).not.toContain(canary);
      // Whoever may not know is told the same of what is not there.
      if (!row.path.includes('{')) continue;
      const nothing = await bed.askExample(elsewhereOf(row), { token });
      // Whoever lacks this right, but not the one to see what it is about, may know that there is nothing.
      const isSeeing = /^(tracking|model|pipeline|deployment)\.read$/.test(row.permission);
      const mayRead = who === 'too low a role' && !isSeeing;
      expect(mayRead ? [answer.status, 404] : [answer.status], who).toContain(nothing.status);
    }
  });

  test('other spellings of a path are the same route', async () => {
    const headers = { 'content-type': 'application/json' };
    for (const { row } of closed) {
      const asked = new Map(tokens).set('too low a role', lacking.get(row.permission) ?? '-');
      for (const [who, token] of asked) {
        for (const path of row.aliases ?? []) {
          const answer = await bed.askExample({ ...row, path }, { token });
          expect([401, 403], `${who} ${row.method} ${path}`).toContain(answer.status);
        }
        for (const path of row.outside ?? []) {
          const { path: own, body } = bed.requestOf(row);
          const [, query = ''] = own.split('?');
          const sent = body === undefined ? {} : { body, headers };
          const answer = await bed.ask(`${path}?${query}`, { method: row.method, token, ...sent });
          expect([401, 403], `${who} ${row.method} ${path}`).toContain(answer.status);
        }
      }
    }
  });

  test("MLflow's calls and files, and inference", async () => {
    const nobody = 'user:nobody-4711';
    const { access } = bed.platform.operations;
    await access.defineRole({ name: 'without-all', permissions: ['quota.read'] });
    await access.grant({ principal: nobody, role: 'without-all' });
    const key = { principal: nobody, name: 'none', scopes: ['*'] };
    const low = (await access.createApiKey(key)).secret;
    const file = `mlflow-artifacts/artifacts/0/${exampleRun}/artifacts/notes.txt`;
    const asked = [
      ...calls.flatMap(({ methods, path }) =>
        methods.map((method) => [method, `/api/2.0/mlflow/${path.replace(/\{\w+\}/g, 'some')}`]),
      ),
      ...['GET', 'PUT', 'DELETE'].map((method) => [method, `/api/2.0/${file}`]),
      ['GET', '/get-artifact'],
      ['GET', '/model-versions/get-artifact'],
      ['POST', '/v1/models/scored:predict'],
      ['POST', '/v2/models/scored/infer'],
      ['GET', '/v2/models/scored'],
      ['POST', '/v2/repository/index'],
    ] as [string, string][];
    expect(asked.length).toBeGreaterThan(50);
    for (const [method, path] of asked) {
      const isQuery = method === 'GET';
      const query = new URLSearchParams(Object.entries(mlflowFields));
      const at = isQuery ? `${path}?${query}` : path;
      const sent = isQuery ? {} : { body: JSON.stringify(mlflowFields) };
      for (const [who, token] of new Map(tokens).set('too low a role', low)) {
        const answer = await bed.ask(at, { method, token, ...sent });
        const text = await answer.text();
        const said = `${who}: ${method} ${path}: ${answer.status} ${text}`;
        expect(text, said).not.toContain(canary);
        if (!/role|workspace/.test(who)) expect(answer.status, said).toBe(401);
        // Lists are answered, with nothing in them; and what has no secret.
        else if (answer.status === 200 && path.endsWith('server-info')) continue;
        else if (answer.status === 200) expect(empty, said).toContain(text);
        // What a call asks for may be missing before it matters who asks; it never tells what there is.
        else expect([400, 403, 501], said).toContain(answer.status);
      }
    }
  });

  test('what is open to everybody is little, and named here', () => {
    const open = rows.filter(({ row }) => row.permission === 'open').map(({ row }) => row.path);
    expect(open).toEqual([
      // Signed: see webhooks below.
      '/webhooks/{trigger}',
      ...['/openapi.json', '/docs', '/health/live', '/health/ready'],
    ]);
  });
});

test('what has revisions is changed only as it was read: 412 for another one, and nothing is done', async () => {
  const revised = rows.filter(({ row }) => row.revisions !== undefined);
  expect(revised.length).toBeGreaterThan(20);
  for (const { row, resource, verb } of revised) {
    const answer = await bed.askExample(row, { headers: { 'if-match': 'W/"999999"' } });
    const problem = JSON.parse(await answer.text());
    expect([`${resource}.${verb}`, answer.status, problem.code]).toEqual([
      `${resource}.${verb}`,
      412,
      'STALE',
    ]);
  }
});

describe('every route answers as it is documented', () => {
  test.each(titled(rows))('%s', async (_, row) => {
    const token = row.permission === 'open' ? '' : bed.token;
    const answer = await bed.askExample(row, { token });
    const { answers } = row;
    const said = `${answer.status} ${answer.headers.get('content-type')}`;
    switch (answers.as) {
      case 'nothing':
        expect(answer.status, await answer.text()).toBe(204);
        break;
      case 'bytes': {
        const bytes = await answer.bytes();
        expect(answer.status, Buffer.from(bytes).toString()).toBe(200);
        expect(bytes.byteLength).toBeGreaterThan(0);
        break;
      }
      case 'messages':
        expect(said).toBe('200 text/event-stream');
        // What ends by itself is read to its end: a stream that breaks has a head as well.
        if (row.path.endsWith('/logs')) expect(await answer.text()).toContain('event: log');
        else await answer.body?.cancel();
        break;
      case 'json': {
        const text = await answer.text();
        expect(said, text).toBe(`${answers.status ?? 200} application/json`);
        const checked = answers.schema.safeParse(JSON.parse(text));
        expect(checked.error?.issues ?? [], text).toEqual([]);
      }
    }
    expect(answer.headers.get('x-correlation-id')).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('the table is an OpenAPI 3.1 document, with an operation for each of its paths', async () => {
    const document = openApiDocument(routeTable);
    const checked = await new Validator().validate(structuredClone(document));
    expect(checked.errors ?? '').toEqual('');
    const operations = Object.values(document['paths'] as Record<string, object>).flatMap((item) =>
      Object.values(item),
    );
    const ids = operations.map(({ operationId }) => operationId);
    expect(new Set(ids).size).toBe(ids.length);
    const { resource, verb } = rows[0]!;
    expect(ids).toContain(`${resource}.${verb}`);
    const refs = JSON.stringify(document).matchAll(/"\$ref":"#\/components\/(\w+)\/([\w.]+)"/g);
    const components = document['components'] as Record<string, Record<string, unknown>>;
    for (const [, kind, name] of refs)
      expect(components[kind!]?.[name!], `${kind}/${name}`).toBeDefined();
    for (const { description, summary } of operations) expect(description ?? summary).toBeTruthy();
  });
});

test('whatever is asked, nothing fails and every status is documented', async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const requests = new OddRequests(seed);
  const wrong: string[] = [];
  for (const { row, resource, verb } of [1, 2, 3, 4].flatMap(() => rows)) {
    if (row.answers.as === 'messages' || row.method === 'DELETE') continue;
    const { path, body } = requests.of(row, bed.exampleOf(row));
    const sent = body === undefined ? {} : { body };
    const headers = { 'content-type': 'application/json' };
    const answer = await bed.ask(path, { method: row.method, headers, ...sent });
    const text = await answer.text();
    const plain = row.answers.as === 'nothing' ? 204 : 200;
    const done = row.answers.as === 'json' ? (row.answers.status ?? 200) : plain;
    const documented = [done, ...commonFailures, ...(row.failures ?? [])];
    if (answer.status < 500 && documented.includes(answer.status)) continue;
    wrong.push(`${resource}.${verb} ${path} ${body}: ${answer.status} ${text}`);
  }
  expect(wrong, `seed ${seed}`).toEqual([]);
}, 60_000);

/** What calls of MLflow ask about; each takes what it knows. */
const mlflowFields = {
  ...{ experiment_id: '0', run_id: exampleRun, run_uuid: exampleRun, name: 'churn', version: '1' },
  ...{ key: 'loss', value: '1', path: 'notes.txt', metric_key: 'loss', alias: 'champion' },
};
const empty = ['{}', '{"registered_models":[]}'];

/** The same route, asked about what is not there. */
function elsewhereOf(row: AnyRoute): AnyRoute {
  const named = [...row.path.matchAll(/\{(\w+)\+?\}/g)].map(([, name]) => [name, 'nowhere-4711']);
  return { ...row, example: { ...row.example, ...Object.fromEntries(named) } };
}
