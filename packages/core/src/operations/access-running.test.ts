import { describe, expect, test } from 'vitest';
import { openTestPlatform } from '../../test/open-test-platform.ts';
import { openTestScope } from '../../test/open-test-scope.ts';
import type { MetadataStore } from '../contracts/metadata-store.ts';
import { KeelsonError } from '../errors.ts';
import { definePipeline } from '../pipelines/define-pipeline.ts';
import { platformKinds } from '../platform-kinds.ts';
import { createAuthorizer, platformPrincipal } from './access-authorizer.ts';

const silent = { refused: (): void => undefined, delegationUsed: (): void => undefined };

describe('a platform whose opener has no right', () => {
  test('runs steps, subscriptions and rollouts for those who have', async () => {
    const { platform } = await openTestPlatform({
      principal: { id: 'service:host', roles: [] },
      access: { owners: ['user:lead'] },
    });
    await expect(platform.tracking.listExperiments()).rejects.toMatchObject({ code: 'FORBIDDEN' });
    platform.start();
    const lead = platform.as({ principal: { id: 'user:lead', roles: [] } });
    await lead.operations.access.grant({ principal: 'user:ana', role: 'contributor' });
    const ana = platform.as({ principal: { id: 'user:ana', roles: [] } });
    const seen: string[] = [];
    await ana.events.subscribe('watch', { types: ['pipeline.completed'] }, (event) => {
      seen.push(event.principal);
    });
    const pipeline = definePipeline('p', { version: '1.0.0' }, (p) =>
      p.step('s', {}, () => 'done'),
    );
    const execution = await ana.pipelines.start(pipeline);
    await expect
      .poll(async () => (await ana.pipelines.get(execution.id)).status, { timeout: 20_000 })
      .toBe('COMPLETED');
    await expect.poll(() => seen.length, { timeout: 20_000 }).toBe(1);
    expect(seen).toEqual([platformPrincipal.id]);
    // By her own hand she may run it too, and the runs that stand for it are hers.
    const again = await ana.pipelines.wait(await ana.pipelines.start(pipeline));
    expect(again.output).toBe('done');
  });

  test('who may run a pipeline need not be allowed to log to its runs', async () => {
    const { platform } = await openTestPlatform({ access: true });
    const { access } = platform.operations;
    await access.defineRole({ name: 'runner', permissions: ['pipeline.*'] });
    await access.grant({ principal: 'user:ana', role: 'runner', resource: 'pipeline:p' });
    const ana = platform.as({ principal: { id: 'user:ana', roles: [] } });
    const pipeline = definePipeline('p', { version: '1.0.0' }, (p) =>
      p.step('s', {}, async ({ run }) => {
        await run?.logParam('rate', 1);
        return 'done';
      }),
    );
    const other = definePipeline('q', { version: '1.0.0' }, (p) => p.step('s', {}, () => 1));
    const ended = await ana.pipelines.wait(await ana.pipelines.start(pipeline));
    expect(ended.status).toBe('COMPLETED');
    await expect(ana.pipelines.start(other)).rejects.toMatchObject({ code: 'FORBIDDEN' });
    await expect(ana.tracking.searchRuns()).rejects.toMatchObject({ code: 'FORBIDDEN' });
  });
});

describe('while the store is away', () => {
  test('what is known goes on for a second, and then nothing is allowed', async () => {
    await using t = await openTestScope({ kinds: platformKinds });
    let away = false;
    const metadata = new Proxy(t.scope.metadata, {
      get(target, name) {
        const member: unknown = Reflect.get(target, name);
        if (typeof member !== 'function') return member;
        return (...args: readonly unknown[]) => {
          if (away) throw new KeelsonError('UNAVAILABLE', 'The store is away.');
          return Reflect.apply(member, target, args) as unknown;
        };
      },
    }) as MetadataStore;
    const columns = {
      principal: 'user:ana',
      role: 'viewer',
      resource: 'workspace:default',
      grantedBy: 'user:lead',
    };
    await metadata.commit({
      workspace: 'default',
      principal: 'user:lead',
      changes: [{ op: 'create', kind: 'role_grant', id: 'g', columns, body: {} }],
    });
    const common = { metadata, clock: t.scope.clock, home: 'default', owners: [], notes: silent };
    const known = createAuthorizer({ ...common, cacheMs: 1000 });
    const forgetful = createAuthorizer({ ...common, cacheMs: 0 });
    const request = {
      principal: { id: 'user:ana', roles: [] },
      workspace: 'default',
      action: 'tracking.read',
      resource: 'workspace:default',
    };
    for (const each of [known, forgetful])
      expect((await each.authorize(request)).allowed).toBe(true);
    away = true;
    await expect(forgetful.authorize(request)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    const nobody = { ...request, principal: { id: 'user:eve', roles: [] } };
    await expect(known.authorize(nobody)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    away = false;
    expect((await forgetful.authorize(request)).allowed).toBe(true);
  });
});
