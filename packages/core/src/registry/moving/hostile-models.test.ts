import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { forge, type Line, type ModelLines } from '../../../test/moving/altered-models.ts';
import { filledRegistry } from '../../../test/moving/filled-registry.ts';
import { readMembers, withManifest, writeMembers } from '../../../test/moving/tampered-export.ts';
import { sharePlatform, temporaryDirectory } from '../../../test/open-test-platform.ts';
import { digestJson } from '../../json.ts';

const shared = sharePlatform();

/** An export that is as it should be. */
async function honest(): Promise<string> {
  const { platform, by } = shared.fresh();
  await filledRegistry(platform, (id) => by(id).registry);
  const to = join(await temporaryDirectory(), 'honest');
  await platform.registry.exportModels({ to });
  return to;
}

/** Changes a record and what its history ends with. */
function edit(line: Line, change: (state: Line) => void): void {
  change(line.record);
  const last = line.history?.at(-1);
  if (last !== undefined) change(last);
}

const fraud = (models: Map<string, ModelLines>): ModelLines => models.get('fraud') as ModelLines;
const churn = (models: Map<string, ModelLines>): ModelLines => models.get('churn') as ModelLines;
const versionsOf = ({ versions }: ModelLines): Line[] =>
  versions.filter(({ record }) => record.kind === 'model_version');

/** What an import of a forged archive says; nothing of it may be here afterwards. */
async function refusal(
  change: (models: Map<string, ModelLines>) => void,
  options: { readonly chains?: boolean } = {},
): Promise<string> {
  const from = await honest();
  const to = `${from}-forged`;
  await forge(from, to, change, options);
  const { platform } = shared.fresh();
  const answer = await platform.registry.importModels({ from: to }).then(
    () => 'imported',
    (error: { code: string; message: string }) => `${error.code} ${error.message}`,
  );
  expect(await platform.registry.listModels()).toEqual([]);
  const { entries, coming } = await platform.operations.audit.verify();
  expect({ entries, coming }).toEqual({ entries: 0, coming: [] });
  return answer;
}

describe('an archive that was put together by somebody', () => {
  // The forger's own tools are right: what the cases below change is what they are refused for.
  test('is taken where nothing of it was changed', async () => {
    const from = await honest();
    await forge(from, `${from}-forged`, () => undefined);
    const { platform } = shared.fresh();
    const { added } = await platform.registry.importModels({ from: `${from}-forged` });
    expect(added.models).toBe(2);
    expect((await platform.operations.audit.verify()).problems).toEqual([]);
  });

  const forgeries: readonly [string, (models: Map<string, ModelLines>) => void, RegExp][] = [
    [
      'numbers with a gap',
      (m) => edit(versionsOf(fraud(m))[2], (s) => (s.columns.number = 4)),
      /^INVALID .*number 4 \(\S+\) where number 3 belongs/,
    ],
    [
      'a number twice',
      (m) => edit(versionsOf(fraud(m))[2], (s) => (s.columns.number = 2)),
      /^INVALID .*number 2 .* where number 3 belongs/,
    ],
    [
      'a semver twice',
      (m) =>
        edit(versionsOf(fraud(m))[1], (s) => {
          s.columns.version = '1.0.0';
          delete s.columns.versionKey;
        }),
      /^INVALID .*version 1\.0\.0 twice/,
    ],
    [
      'no semver',
      (m) => edit(versionsOf(fraud(m))[1], (s) => (s.columns.version = '01.2')),
      /^INVALID .*no semantic version/,
    ],
    [
      'a version more than its model says',
      (m) => edit(fraud(m).model[0], (s) => (s.columns.lastNumber = 9)),
      /^INVALID .*has 3 versions, and its record says 9/,
    ],
    [
      'two versions in production',
      (m) => edit(versionsOf(fraud(m))[2], (s) => (s.columns.stage = 'PRODUCTION')),
      /^INVALID .* and \S+ in production, where its policy allows one/,
    ],
    [
      'a production version that is none',
      (m) => edit(versionsOf(fraud(m))[0], (s) => (s.columns.stage = 'STAGING')),
      /^INVALID .*in production, and it is not/,
    ],
    [
      'a latest version that is not there',
      (m) => edit(fraud(m).model[0], (s) => (s.columns.latestVersionId = 'nowhere')),
      /^INVALID .*latestVersionId, which is not there/,
    ],
    [
      'an alias of nothing',
      (m) => edit(fraud(m).model[0], (s) => (s.body.aliases = { champion: 'nowhere' })),
      /^INVALID .*alias champion/,
    ],
    [
      'an alias that the model does not have',
      (m) => (versionsOf(fraud(m))[0].record.facets.aliases = { gold: true }),
      /^INVALID .*under the aliases gold, and its record says none/,
    ],
    [
      'a transition of a version that is not there',
      (m) => edit(fraud(m).transitions[0], (s) => (s.columns.versionId = 'nowhere')),
      /^INVALID .*which is not there/,
    ],
    [
      'a model in the middle of a transition',
      (m) => edit(fraud(m).model[0], (s) => (s.columns.applyingId = 'x')),
      /^INVALID .*in the middle of a transition/,
    ],
    [
      'a policy that cannot be meant',
      (m) => edit(fraud(m).model[0], (s) => (s.body.policy.transitions[0].approvals = -1)),
      /^INVALID .*stage policy/,
    ],
    [
      'a file outside its directory',
      (m) =>
        edit(versionsOf(fraud(m))[1], (s) => {
          s.body.files[0].path = '../../.ssh/authorized_keys';
          s.columns.sha256 = digestJson(s.body.files);
        }),
      /^INVALID .*authorized_keys/,
    ],
    [
      'files of another digest',
      (m) => edit(versionsOf(fraud(m))[1], (s) => (s.columns.sha256 = 'a'.repeat(64))),
      /^INVALID .*another digest than its files give/,
    ],
    [
      'a record that is not where its history ends',
      (m) => (versionsOf(fraud(m))[2].record.columns.stage = 'ARCHIVED'),
      /^INVALID .*not what its history ends with/,
    ],
    [
      'parents that the version does not name',
      (m) => {
        const edge = fraud(m).versions.find(({ record }) => record.columns.role === 'parent');
        edge.record.columns.from = 'another';
      },
      /^INVALID .*other parents of version/,
    ],
    [
      'records of another kind',
      (m) => (fraud(m).transitions[0].record.kind = 'api_key'),
      /^INVALID .*of a kind that it cannot have/,
    ],
    [
      'a version of another model',
      (m) => edit(versionsOf(churn(m))[0], (s) => (s.columns.modelName = 'fraud')),
      /^INVALID .*belongs to another model/,
    ],
    [
      'an edge twice',
      (m) => {
        const { versions } = fraud(m);
        const twin = structuredClone(versions[0]);
        twin.record.id = 'twin';
        versions.unshift(twin);
      },
      /^INVALID .*the edge of edge twin twice|^INVALID .*twice/,
    ],
    [
      'a key of a request twice',
      (m) => {
        for (const line of fraud(m).transitions.slice(0, 2)) {
          edit(line, (s) => (s.columns.requestKey = 'once'));
        }
      },
      /^INVALID .*the transition request of stage_transition \S+ twice/,
    ],
  ];

  test.each(forgeries)('with %s is refused, and nothing of it is here', async (_, change, says) => {
    expect(await refusal(change)).toMatch(says);
  });

  test('with a cycle in its lineage is refused, the cycle named', async () => {
    const said = await refusal((models) => {
      const [first, second] = versionsOf(fraud(models));
      edit(first, (s) => (s.body.lineage.parentVersionIds = [second.record.id]));
      const edge = structuredClone(
        fraud(models).versions.find(({ record }) => record.columns.role === 'parent'),
      );
      edge.record.id = 'edge-of-the-cycle';
      edge.record.columns = { from: second.record.id, to: first.record.id, role: 'parent' };
      const { versions } = fraud(models);
      versions.splice(versions.indexOf(first), 0, edge);
    });
    expect(said).toMatch(
      /^INVALID Versions would come of themselves: fraud (1\.0\.0 ← fraud 2\.0\.0 ← fraud 1|2\.0\.0 ← fraud 1\.0\.0 ← fraud 2)\.0\.0\./,
    );
  });

  test('is refused where it closes a cycle with what is here', async () => {
    const from = await honest();
    // `churn` came of a version of `fraud`; the second archive says that this came of `churn`.
    const { platform } = shared.fresh();
    await forge(from, `${from}-one`, (models) => models.delete('fraud'));
    const onlyChurn = await withoutModel(`${from}-one`, from, 'fraud');
    await platform.registry.importModels({ from: onlyChurn });
    await forge(from, `${from}-two`, (models) => {
      const [, second] = versionsOf(fraud(models));
      const [child] = versionsOf(churn(models));
      edit(second, (s) => (s.body.lineage.parentVersionIds = [child.record.id]));
      for (const { record } of fraud(models).versions) {
        if (record.columns.role === 'parent' && record.columns.to === second.record.id) {
          record.columns.from = child.record.id;
        }
      }
    });
    const onlyFraud = await withoutModel(`${from}-two`, from, 'churn');
    await expect(platform.registry.importModels({ from: onlyFraud })).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(/fraud 2\.0\.0 ← churn 1\.0\.0 ← fraud 2\.0\.0/),
    });
    expect((await platform.registry.listModels()).map(({ name }) => name)).toEqual(['churn']);
  });

  test('with its audit altered is refused', async () => {
    const revision = await refusal(
      (m) => edit(versionsOf(fraud(m))[2], (s) => (s.columns.description = 'x')),
      { chains: false },
    );
    expect(revision).toMatch(/^INVALID .*chain of model:fraud does not stand: revision/);
    const gap = await refusal((m) => fraud(m).audit.splice(1, 1), { chains: false });
    expect(gap).toMatch(/entry 3 follows entry 1/);
    const end = await refusal((m) => fraud(m).audit.pop(), { chains: false });
    expect(end).toMatch(/does not stand/);
    const event = await refusal((m) => (fraud(m).audit[0].more.events[0].principal = 'user:eve'), {
      chains: false,
    });
    expect(event).toMatch(/event \S+ is not what entry 1 attests/);
    const none = await refusal((m) => (fraud(m).model[0].more = {}), { chains: false });
    expect(none).toMatch(/has no audit chain/);
    const added = await refusal(
      (m) => {
        const extra = structuredClone(fraud(m).transitions[0]);
        extra.record.id = 'zz';
        fraud(m).transitions.push(extra);
      },
      { chains: false },
    );
    expect(added).toMatch(/stage_transition zz is attested by none of its entries/);
  });
});

/** An export without one of its models, and without the contents that only that one had. */
async function withoutModel(directory: string, honestOne: string, name: string): Promise<string> {
  const members = await readMembers(directory);
  for (const [path, bytes] of await readMembers(honestOne)) {
    if (!path.endsWith('model.jsonl')) continue;
    const [first = ''] = bytes.toString('utf8').split('\n');
    if (JSON.parse(first).record.columns.name !== name) continue;
    for (const each of [...members.keys()]) {
      if (each.startsWith(path.replace('model.jsonl', ''))) members.delete(each);
    }
  }
  const lines = [...members].filter(([path]) => path.endsWith('.jsonl'));
  const text = lines.map(([, bytes]) => bytes.toString('utf8')).join('');
  for (const path of [...members.keys()]) {
    const digest = path.startsWith('content/') ? path.split('/')[2] : undefined;
    if (digest !== undefined && !text.includes(digest)) members.delete(path);
  }
  if (!text.includes('"kind":"dataset"') || name === 'churn') members.delete('datasets.jsonl');
  await writeMembers(`${directory}-part`, withManifest(members, 'models'));
  return `${directory}-part`;
}
