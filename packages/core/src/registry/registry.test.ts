import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { testBackends } from '../../test/test-backends.ts';
import type { ErrorCode } from '../errors.ts';
import { openPlatform, type Platform, type Services } from '../open-platform.ts';
import { seededRandom } from '../statistics/index.ts';
import type { ModelVersion } from './model-version.ts';

const child = fileURLToPath(new URL('../../test/registry-child.ts', import.meta.url));
const signature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2] }],
  outputs: [{ name: 'label', datatype: 'BYTES', shape: [-1] }],
} as const;

let dir: string;
let platform: Platform;
let ana: Services;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'keelson-registry-'));
  platform = await openPlatform({
    ...(await testBackends(dir)),
    dir,
    principal: { id: 'user:ben', roles: ['trainer'] },
  });
  ana = platform.as({ principal: { id: 'user:ana', roles: ['approver'] } });
});

afterEach(async () => {
  await platform.close();
  rmSync(dir, { recursive: true, force: true });
});

function register(text: string, more: object = {}): Promise<ModelVersion> {
  const files = { 'model.json': Buffer.from(text) };
  return platform.registry.register({
    model: 'm',
    from: { files },
    format: 'JS',
    signature,
    ...more,
  });
}

async function toProduction(version: ModelVersion): Promise<void> {
  const { model, version: number } = version;
  await platform.registry.requestTransition({ model, version: number, to: 'STAGING', reason: 'r' });
  const asked = await platform.registry.requestTransition({
    model,
    version: number,
    to: 'PRODUCTION',
    reason: 'r',
  });
  await ana.registry.approve(asked.id);
}

async function code(
  work: Promise<unknown>,
): Promise<{ readonly code: ErrorCode; readonly message: string }> {
  try {
    await work;
  } catch (error) {
    return error as { code: ErrorCode; message: string };
  }
  throw new Error('It was not refused.');
}

describe('registration', () => {
  test('the same version and content again is the same version; other content names both hashes', async () => {
    const first = await register('a', { version: '2.0.0' });
    expect(await register('a', { version: '2.0.0' })).toEqual(first);
    const refused = await code(register('b', { version: '2.0.0' }));
    expect(refused.code).toBe('CONFLICT');
    expect(refused.message).toContain(first.sha256);
    expect((await platform.registry.listVersions('m')).map((version) => version.number)).toEqual([
      1,
    ]);
  });

  test.each([
    [
      'a changed signature',
      { signature: { ...signature, inputs: [{ name: 'y', datatype: 'FP64', shape: [-1] }] } },
      '2.0.0',
    ],
    ['changed content', {}, '1.1.0'],
    ['a bump that is asked for', { bump: 'patch' }, '1.0.1'],
  ])('the version after %s', async (_, more, expected) => {
    await register('a');
    expect((await register('b', more)).version).toBe(expected);
  });

  test('a version that has none after it is refused, and one that is said is taken', async () => {
    await register('a', { version: '9007199254740991.0.0' });
    expect((await code(register('b', { bump: 'major' }))).code).toBe('CONFLICT');
    expect((await register('b', { bump: 'minor' })).version).toBe('9007199254740991.1.0');
  });

  test.each(['1', 'v1.0.0', '1.0', '', 'latest', '__proto__'])(
    'refuses the version %j',
    async (version) => {
      expect((await code(register('a', { version }))).code).toBe('INVALID');
    },
  );

  test.each([
    ['a key that there is none of', { metrcs: { auc: 1 } }, 'metrcs'],
    ['a bump that is none', { bump: 'mni' }, 'bump'],
    ['a bump beside a version', { bump: 'minor', version: '2.0.0' }, 'bump minor'],
    ['a metric that is no number', { metrics: { auc: '0.9' } }, 'metrics.auc'],
    ['a tag that is no text', { tags: { team: 1 } }, '"team"'],
    ['a long description', { description: 'x'.repeat(1025) }, '1024'],
    [
      'a datatype that is none',
      { signature: { inputs: [{ name: 'x', datatype: 'float64', shape: [-1] }], outputs: [] } },
      'signature.inputs.0.datatype',
    ],
    ['a tensor without shape', { signature: { inputs: [{ name: 'x' }], outputs: [] } }, 'shape'],
  ])('refuses %s by name, before any file is read', async (_, more, named) => {
    let read = false;
    const bytes = (async function* () {
      read = true;
      yield Buffer.from('a');
    })();
    const refused = await code(register('a', { from: { files: { a: bytes } }, ...more } as never));
    expect(refused).toMatchObject({ code: 'INVALID', message: expect.stringContaining(named) });
    expect(read).toBe(false);
    expect(await platform.registry.findModel('m')).toBeUndefined();
  });

  test('a reference where an id or a semver is asked is refused with the way to it', async () => {
    await register('a');
    const { registry } = platform;
    const byId = await code(registry.getVersionById('m@latest'));
    expect(byId).toMatchObject({ code: 'NOT_FOUND' });
    expect(byId.message).toContain("registry.resolve('m@latest')");
    const asked = { model: 'm', version: 'latest', to: 'STAGING', reason: 'r' } as const;
    const bySemver = await code(registry.requestTransition(asked));
    expect(bySemver).toMatchObject({ code: 'NOT_FOUND' });
    expect(bySemver.message).toContain("registry.resolve('m@latest')");
  });

  test('metrics are those of the run and not of its machine, unless others are given', async () => {
    const runId = await platform.tracking.withRun({ experiment: 'e' }, async (run) => {
      for (const auc of [0.8, 0.9]) run.logMetric('auc', auc);
      run.logMetric('system/cpu', 50);
      await run.logText('model/a.json', '1');
      return run.id;
    });
    const of = { model: 'm', from: { runId, path: 'model' }, format: 'CUSTOM' } as const;
    expect((await platform.registry.register(of)).metrics).toEqual({ auc: 0.9 });
    const other = { ...of, version: '3.0.0', metrics: { f1: 0.5 } };
    expect((await platform.registry.register(other)).metrics).toEqual({ f1: 0.5 });
  });

  test('from a run: lineage leads back to its data, and forward from them', async () => {
    const quick = { experiment: 'e', environment: false } as const;
    const { runId, dataset } = await platform.tracking.withRun(quick, async (run) => {
      await run.logArtifact('model/a.json', Buffer.from('a'));
      await run.logArtifact('model/deep/b.json', Buffer.from('b'));
      return {
        runId: run.id,
        dataset: await run.logDataset({ name: 'd', digest: 'f00', role: 'train' }),
      };
    });
    const parent = await register('parent');
    const version = await platform.registry.register({
      model: 'm',
      from: { runId, path: 'model' },
      format: 'CUSTOM',
      lineage: { parentVersionIds: [parent.id] },
    });
    expect(version.files.map((file) => file.path)).toEqual(['a.json', 'deep/b.json']);
    const backward = await platform.registry.lineage(version.id);
    expect(backward.nodes.map((node) => [node.id, node.type, node.depth]).sort()).toEqual(
      [
        [version.id, 'model_version', 0],
        [runId, 'run', 1],
        [parent.id, 'model_version', 1],
        [dataset, 'dataset', 2],
      ].sort(),
    );
    const forward = await platform.registry.lineage(dataset, { direction: 'forward' });
    expect(forward.nodes.map((node) => node.id)).toContain(version.id);
    expect(
      (
        await code(
          platform.registry.register({ model: 'm', from: { runId, path: 'none' }, format: 'JS' }),
        )
      ).code,
    ).toBe('NOT_FOUND');
  });

  test('10 processes at once get different versions, and numbers without gaps', async () => {
    const all = Array.from({ length: 10 }, (_, i) => registerInChild(`p${i}`, 3));
    const told: number[] = [];
    for (const { ended } of all) {
      const { code: status, err, lines } = await ended;
      expect(status, err).toBe(0);
      told.push(...lines.map(({ number }) => number));
    }
    const versions = await platform.registry.listVersions('shared');
    const upTo30 = Array.from({ length: 30 }, (_, i) => i + 1);
    expect(versions.map(({ number }) => number)).toEqual(upTo30);
    expect(told.toSorted((a, b) => a - b)).toEqual(upTo30);
    expect(new Set(versions.map(({ version }) => version)).size).toBe(30);
  }, 120_000);

  test('4 processes at once, one of them killed again and again: numbers without gaps, content whole', async () => {
    const seed = process.env['KEELSON_TEST_SEED'] ?? String(Date.now());
    console.log(`seed of the kills: ${seed}`);
    const random = seededRandom(seed);
    const steady = ['a', 'b', 'c'].map((who) => registerInChild(who, 6).ended);
    const acknowledged: { readonly id: string; readonly number: number }[] = [];
    for (let kill = 0; kill < 6; kill += 1) {
      const victim = registerInChild(`k${kill}`, 1000);
      // Killed after its first acknowledgement at the earliest: before, it would only be starting.
      await victim.firstLine;
      const timer = setTimeout(() => victim.process.kill('SIGKILL'), random.uniform() * 60);
      const ended = await victim.ended;
      clearTimeout(timer);
      expect(ended.signal).toBe('SIGKILL');
      acknowledged.push(...ended.lines);
    }
    for (const ended of await Promise.all(steady)) {
      expect(ended.code, ended.err).toBe(0);
      acknowledged.push(...ended.lines);
    }
    const versions = await platform.registry.listVersions('shared');
    expect(versions.map((version) => version.number)).toEqual(versions.map((_, i) => i + 1));
    expect(new Set(versions.map((version) => version.version)).size).toBe(versions.length);
    const byId = new Map(versions.map((version) => [version.id, version.number]));
    for (const each of acknowledged) expect(byId.get(each.id)).toBe(each.number);
    for (const [i, version] of versions.entries()) {
      const target = join(dir, `downloaded-${i}`);
      await platform.registry.download(version.id, target);
      expect(readFileSync(join(target, 'weights.json'), 'utf8')).toBe(
        `${version.tags['who']} ${version.tags['i']}`,
      );
    }
  }, 120_000);
});

describe('stages', () => {
  test('Production takes an approval by somebody else, and supersedes the former version in one step', async () => {
    const one = await register('one');
    const early = await code(
      platform.registry.requestTransition({
        model: 'm',
        version: '1.0.0',
        to: 'PRODUCTION',
        reason: 'r',
      }),
    );
    expect(early.message).toContain('possible: STAGING, ARCHIVED');
    await toProduction(one);
    const two = await register('two');
    await platform.registry.requestTransition({
      model: 'm',
      version: two.version,
      to: 'STAGING',
      reason: 'r',
    });
    const asked = await platform.registry.requestTransition({
      model: 'm',
      version: two.version,
      to: 'PRODUCTION',
      reason: 'r',
    });
    expect(asked.status).toBe('PENDING');
    expect((await code(platform.registry.approve(asked.id))).code).toBe('FORBIDDEN');
    expect((await platform.registry.productionVersion('m'))?.id).toBe(one.id);
    expect((await ana.registry.approve(asked.id, { comment: 'good' })).status).toBe('DONE');
    expect((await platform.registry.productionVersion('m'))?.id).toBe(two.id);
    expect((await platform.registry.getVersionById(one.id)).stage).toBe('ARCHIVED');
    expect((await code(ana.registry.approve(asked.id))).code).toBe('CONFLICT');
  });

  test('two approvals at one moment never leave two versions in production', async () => {
    const versions = [await register('one'), await register('two'), await register('three')];
    const asked = [];
    for (const { model, version } of versions) {
      await platform.registry.requestTransition({ model, version, to: 'STAGING', reason: 'r' });
      asked.push(
        await platform.registry.requestTransition({
          model,
          version,
          to: 'PRODUCTION',
          reason: 'r',
        }),
      );
    }
    const other = await openPlatform({
      ...(await testBackends(dir)),
      dir,
      principal: { id: 'user:ceri', roles: ['approver'] },
    });
    await Promise.all(asked.map(({ id }, i) => (i % 2 === 0 ? ana : other).registry.approve(id)));
    await other.close();
    const stages = (await platform.registry.listVersions('m')).map((version) => version.stage);
    expect(stages.toSorted()).toEqual(['ARCHIVED', 'ARCHIVED', 'PRODUCTION']);
    expect((await platform.registry.productionVersion('m'))?.stage).toBe('PRODUCTION');
  });

  test('a person counts once; roles count; a rejection ends it', async () => {
    const version = await register('one');
    const { policy } = await platform.registry.getModel('m');
    const transitions = policy.transitions.map((rule) =>
      rule.to === 'PRODUCTION' ? { ...rule, approvals: 2, approverRoles: ['approver'] } : rule,
    );
    await platform.registry.setPolicy('m', { ...policy, transitions });
    await platform.registry.requestTransition({
      model: 'm',
      version: version.version,
      to: 'STAGING',
      reason: 'r',
    });
    const asked = await platform.registry.requestTransition({
      model: 'm',
      version: version.version,
      to: 'PRODUCTION',
      reason: 'r',
    });
    const guest = platform.as({ principal: { id: 'user:guest', roles: ['viewer'] } });
    expect((await code(guest.registry.approve(asked.id))).message).toContain('approver');
    expect((await ana.registry.approve(asked.id)).status).toBe('PENDING');
    expect((await code(ana.registry.approve(asked.id))).code).toBe('FORBIDDEN');
    const ceri = platform.as({ principal: { id: 'user:ceri', roles: ['approver'] } });
    expect((await ceri.registry.reject(asked.id, { comment: 'no' })).status).toBe('REJECTED');
    expect((await platform.registry.getVersionById(version.id)).stage).toBe('STAGING');
  });

  test('checks: thresholds, a comparison with production, and checks of one’s own that throw', async () => {
    const one = await register('one', { metrics: { accuracy: 0.9 } });
    await toProduction(one);
    const { policy } = await platform.registry.getModel('m');
    const transitions = policy.transitions.map((rule) =>
      rule.to === 'STAGING'
        ? {
            ...rule,
            checks: [
              { check: 'metric', metric: 'accuracy', min: 0.5 } as const,
              { check: 'no-worse', metric: 'accuracy', better: 'higher', tolerance: 0.01 } as const,
            ],
          }
        : rule,
    );
    await platform.registry.setPolicy('m', { ...policy, transitions });
    const ask = async (version: ModelVersion, checks = {}): Promise<readonly string[]> => {
      const asked = await platform.registry.requestTransition({
        model: 'm',
        version: version.version,
        to: 'STAGING',
        reason: 'r',
        checks,
      });
      expect(asked.status).toBe(asked.checks.every((check) => check.passed) ? 'DONE' : 'FAILED');
      return asked.checks.filter((check) => !check.passed).map((check) => check.name);
    };
    expect(await ask(await register('two', { metrics: { accuracy: 0.8 } }))).toEqual([
      'accuracy no worse',
    ]);
    expect(await ask(await register('three', { metrics: { accuracy: Number.NaN } }))).toEqual([
      'metric accuracy',
      'accuracy no worse',
    ]);
    const four = await register('four', { metrics: { accuracy: 0.95 } });
    const own = {
      bias: () => {
        throw new Error('group B is 9 % worse');
      },
    };
    expect(await ask(four, own)).toEqual(['bias']);
    expect(await ask(four)).toEqual([]);
  });

  test('the same request key answers the first request, also from another process at once', async () => {
    const version = await register('one');
    const request = {
      model: 'm',
      version: version.version,
      to: 'STAGING',
      reason: 'r',
      requestKey: 'k',
    } as const;
    const other = await openPlatform({ ...(await testBackends(dir)), dir });
    const answers = await Promise.all([
      platform.registry.requestTransition(request),
      other.registry.requestTransition(request),
      platform.registry.requestTransition(request),
    ]);
    await other.close();
    expect(new Set(answers.map((each) => each.id)).size).toBe(1);
    expect(await platform.registry.listTransitions(version.id)).toHaveLength(1);
  });
});

describe('damage', () => {
  test('a flipped byte: the transition fails by name, the download is refused and leaves no file', async () => {
    const version = await register('a model that is long enough to be damaged');
    flipByteOf(join(dir, 'artifacts'), version.files[0]?.sha256 ?? '');
    const asked = await platform.registry.requestTransition({
      model: 'm',
      version: version.version,
      to: 'STAGING',
      reason: 'r',
    });
    expect(asked.status).toBe('FAILED');
    expect(asked.checks.find((check) => !check.passed)?.name).toBe('integrity');
    const target = join(dir, 'downloaded');
    expect((await code(platform.registry.download(version.id, target))).code).toBe('CORRUPT');
    expect(existsSync(target)).toBe(false);
    expect(readdirSync(dir).filter((name) => name.startsWith('.keelson-'))).toEqual([]);
  });

  test('what never changes cannot be changed through the store either', async () => {
    const version = await register('a');
    const other = await openPlatform({ ...(await testBackends(dir)), dir });
    const { DatabaseSync } = await import('node:sqlite');
    const database = new DatabaseSync(join(dir, 'keelson.db'));
    const update = (): void => void database.exec(`UPDATE rec_model_version SET c_sha256 = 'x'`);
    expect(update).toThrow();
    database.close();
    expect((await other.registry.getVersionById(version.id)).sha256).toBe(version.sha256);
    await other.close();
  });
});

test('another workspace has none of it', async () => {
  const version = await register('a');
  const foreign = platform.as({ workspace: 'other' });
  expect((await code(foreign.registry.getVersionById(version.id))).code).toBe('NOT_FOUND');
  expect((await code(foreign.registry.getModel('m'))).code).toBe('NOT_FOUND');
  expect(await foreign.registry.listModels()).toEqual([]);
  expect((await code(foreign.registry.download(version.id, join(dir, 'x')))).code).toBe(
    'NOT_FOUND',
  );
  expect((await foreign.registry.lineage(version.id)).nodes).toHaveLength(1);
});

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly err: string;
  readonly lines: readonly { readonly id: string; readonly number: number }[];
}

function registerInChild(
  who: string,
  count: number,
): {
  readonly process: ReturnType<typeof spawn>;
  readonly firstLine: Promise<void>;
  readonly ended: Promise<Ended>;
} {
  const args = ['--conditions=keelson:source', child, dir, who, String(count)];
  const started = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let out = '';
  let err = '';
  started.stderr.on('data', (chunk) => (err += chunk));
  const firstLine = new Promise<void>((resolve, reject) => {
    started.stdout.on('data', (chunk) => {
      out += chunk;
      resolve();
    });
    started.on('close', () => reject(new Error(`It ended without a line: ${err}`)));
  });
  // Only the killed ones are waited for by their first line.
  firstLine.catch(() => undefined);
  const ended = new Promise<Ended>((resolve) => {
    started.on('close', (code, signal) => {
      const lines = out
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Ended['lines'][number]);
      resolve({ code, signal, err, lines });
    });
  });
  return { process: started, firstLine, ended };
}

/** Flips a byte in the file whose name holds the digest. */
function flipByteOf(root: string, sha256: string): void {
  const files = readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  const content = files.find(
    (entry) => entry.name.includes(sha256.slice(4)) && !entry.name.includes('.chunks'),
  );
  if (content === undefined)
    throw new Error(`No file of ${sha256} in ${files.map((f) => f.name).join(', ')}`);
  const path = join(content.parentPath, content.name);
  const bytes = readFileSync(path);
  bytes[3] = (bytes[3] ?? 0) ^ 1;
  rmSync(path);
  writeFileSync(path, bytes);
}
