import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { htmlElements } from '../../../test/html-elements.ts';
import { openTestPlatform, sharePlatform } from '../../../test/open-test-platform.ts';
import { openTestScope } from '../../../test/open-test-scope.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { Services } from '../../open-platform.ts';
import { platformKinds } from '../../platform-kinds.ts';
import type { ModelVersion } from '../model-version.ts';
import { flattenCard, type ModelCard, missingFields } from './card.ts';
import { createCards } from './cards.ts';

const shared = sharePlatform();
const hostile = `<script>alert(1)</script>"'&|\n# x`;

const card: ModelCard = {
  team: 'risk',
  maintainer: 'ana@example.org',
  framework: { name: 'scikit-learn', version: '1.7.2' },
  architecture: 'gradient boosted trees, depth 6',
  parameterCount: 184_320,
  metrics: { auc: 0.91, drift: Number.NaN },
  performance: { p50Ms: 1.2, p99Ms: 4.5, memoryBytes: 48_000_000, measuredOn: '2 vCPU' },
  purpose: 'Flags card payments that look stolen.',
  approvedUses: ['payments in the EU', 'alerts for analysts'],
  excludedUses: ['decisions without a person'],
  regulatoryClass: 'limited risk',
  limitations: ['not trained on business cards'],
  custom: { region: 'eu', reviewed: true },
};

async function register(
  { registry }: Pick<Services, 'registry'>,
  text = 'a',
): Promise<ModelVersion> {
  return await registry.register({
    model: 'fraud',
    from: { files: { 'model.json': Buffer.from(text) } },
    format: 'JS',
    metrics: { auc: 0.92 },
    signature: {
      inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2], columns: ['amount', 'age'] }],
      outputs: [{ name: 'label', datatype: 'BYTES', shape: [-1] }],
    },
  });
}

async function toStaging({ registry }: Services, { model, version }: ModelVersion) {
  return await registry.requestTransition({ model, version, to: 'STAGING', reason: 'tried' });
}

describe('setCard', () => {
  test('keeps the whole card and each one before it, with who wrote it', async () => {
    const { platform } = shared.fresh();
    const { registry } = platform;
    const { id } = await register(platform);
    await expect(registry.getCard(id)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('setCard()'),
    });
    expect(await registry.findCard(id)).toBeUndefined();
    await registry.setCard(id, card);
    await registry.setCard(id, { team: 'payments' });
    expect(await registry.getCard(id)).toEqual({ team: 'payments' });
    const history = await registry.cardHistory(id);
    expect(history.map(({ revision, by }) => [revision, by])).toEqual([
      [1, platform.principal.id],
      [2, platform.principal.id],
    ]);
    expect(history[0]?.card).toEqual(card);
  });

  test('names each place that does not fit', async () => {
    const { platform } = shared.fresh();
    const { registry } = platform;
    const { id } = await register(platform);
    const wrong = { teem: 'risk', framework: { version: '1' }, performance: { p99Ms: -1 } };
    await expect(registry.setCard(id, wrong as never)).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(/teem.*card\.framework\.name|card\.framework\.name.*teem/),
      details: { problems: expect.arrayContaining([expect.stringMatching(/^card\.perf.*p99Ms/)]) },
    });
    await expect(registry.setCard('no-such', card)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    const many = Object.fromEntries(Array.from({ length: 301 }, (_, i) => [`k${i}`, i]));
    await expect(registry.setCard(id, { custom: many })).rejects.toThrow('at most 300');
    expect(await registry.findCard(id)).toBeUndefined();
  });

  test('is frozen from STAGING on, its notes excepted, and open again in DEVELOPMENT', async () => {
    const { platform } = shared.fresh();
    const { registry } = platform;
    const version = await register(platform);
    await registry.setCard(version.id, card);
    await toStaging(platform, version);
    const noted = { ...card, notes: 'the threshold was tuned on May' };
    expect(await registry.setCard(version.id, noted)).toEqual(noted);
    const other = { ...noted, team: 'payments', custom: { region: 'us' } };
    await expect(registry.setCard(version.id, other)).rejects.toMatchObject({
      code: 'IMMUTABLE',
      message: expect.stringContaining('frozen'),
      details: { fields: ['team', 'custom'] },
    });
    const { model, version: number } = version;
    const back = { model, version: number, to: 'DEVELOPMENT', reason: 'r' } as const;
    await registry.requestTransition(back);
    expect((await registry.setCard(version.id, other)).team).toBe('payments');
  });

  test('of a card and a promotion at once, a card that comes second is refused', async () => {
    const { platform, dir } = await openTestPlatform();
    const version = await register(platform);
    await platform.registry.setCard(version.id, card);
    await using other = await openTestScope({ kinds: platformKinds, dir });
    let between: (() => Promise<unknown>) | undefined = () => toStaging(platform, version);
    // What the store sees between the reading and the commit of the card.
    const metadata: Scope['metadata'] = new Proxy(other.scope.metadata, {
      get(store, name) {
        const member: unknown = Reflect.get(store, name);
        if (name !== 'commit') {
          return typeof member === 'function' ? member.bind(store) : member;
        }
        return async (...args: Parameters<Scope['metadata']['commit']>) => {
          const first = between;
          between = undefined;
          await first?.();
          return await store.commit(...args);
        };
      },
    });
    const cards = createCards({ ...other.scope, metadata });
    await expect(cards.setCard(version.id, { team: 'late' })).rejects.toMatchObject({
      code: 'IMMUTABLE',
    });
    expect((await platform.registry.getVersionById(version.id)).stage).toBe('STAGING');
    expect(await platform.registry.getCard(version.id)).toEqual(card);
  });

  test('of two first cards at once, both are kept, one after the other', async () => {
    const { platform } = shared.fresh();
    const { id } = await register(platform);
    await Promise.all(['a', 'b', 'c'].map((team) => platform.registry.setCard(id, { team })));
    const history = await platform.registry.cardHistory(id);
    expect(history.map(({ card: { team } }) => team).toSorted()).toEqual(['a', 'b', 'c']);
  });

  test('makes its fields searchable, and those of the card before no longer', async () => {
    const { platform, dir } = await openTestPlatform();
    const { id } = await register(platform);
    await platform.registry.setCard(id, card);
    await platform.registry.setCard(id, { team: 'payments', custom: { score: 7 } });
    await using other = await openTestScope({ kinds: platformKinds, dir });
    const { metadata, workspace } = other.scope;
    const having = async (key: string, value: string | number) => {
      const left = { from: 'facet', facet: 'card', key } as const;
      const where = { op: 'compare', left, cmp: '=', value } as const;
      return (await metadata.query(workspace, 'model_version', { where })).records.length;
    };
    expect(await having('team', 'payments')).toBe(1);
    expect(await having('custom.score', 7)).toBe(1);
    expect(await having('team', 'risk')).toBe(0);
    expect(await having('custom.region', 'eu')).toBe(0);
    const found = await platform.registry.searchVersions({ filter: 'card.custom.score > 6' });
    expect(found.versions.map((version) => version.id)).toEqual([id]);
  });
});

describe('setCardSchema', () => {
  const schema = {
    type: 'object',
    required: ['region'],
    additionalProperties: false,
    properties: { region: { enum: ['eu', 'us'] }, tier: { type: 'integer', default: 3 } },
  } as const;

  test('holds custom attributes to the schema of the model, defaults filled in', async () => {
    const { platform } = shared.fresh();
    const { registry } = platform;
    const { id } = await register(platform);
    await registry.setCardSchema('fraud', schema);
    expect(await registry.findCardSchema('fraud')).toEqual(schema);
    expect(await registry.setCard(id, { custom: { region: 'eu' } })).toEqual({
      custom: { region: 'eu', tier: 3 },
    });
    await expect(registry.setCard(id, { custom: { region: 'mars', x: 1 } })).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringMatching(/card\.custom\.region.*\("x"\)|\("x"\).*card\.custom\.region/),
    });
    await expect(registry.setCard(id, {})).rejects.toThrow("required property 'region'");
    // The model's other facts stay.
    expect((await register(platform, 'b')).number).toBe(2);
    expect(await registry.findCardSchema('fraud')).toEqual(schema);
    await registry.setCardSchema('fraud', undefined);
    expect(await registry.setCard(id, {})).toEqual({});
  });

  test.each([
    ['no object', { type: 'string' }],
    ['no schema', { type: 'object', properties: { a: { type: 'nothing' } } }],
    ['one that would let everything pass', { type: 'object', $async: true }],
    ['text', 'x' as never],
  ])('refuses %s', async (_, wrong) => {
    const { platform } = shared.fresh();
    await register(platform);
    await expect(platform.registry.setCardSchema('fraud', wrong)).rejects.toMatchObject({
      code: 'INVALID',
    });
  });
});

test('a policy demands fields for a stage', async () => {
  const { platform } = shared.fresh();
  const { registry } = platform;
  const version = await register(platform);
  const { policy } = await registry.getModel('fraud');
  const check = { check: 'card', fields: ['team', 'framework', 'custom.region'] } as const;
  const transitions = policy.transitions.map((rule) =>
    rule.to === 'STAGING' ? { ...rule, checks: [check] } : rule,
  );
  await registry.setPolicy('fraud', { ...policy, transitions });
  const details = async () => (await toStaging(platform, version)).checks.map((c) => c.detail);
  expect(await details()).toEqual([expect.stringContaining('has no card')]);
  await registry.setCard(version.id, { team: ' ', custom: { region: 'eu' } });
  expect(await details()).toEqual(['the card lacks team, framework']);
  await registry.setCard(version.id, card);
  expect((await toStaging(platform, version)).status).toBe('DONE');
});

test('every card is attested by the audit trail of its model', async () => {
  const { platform } = await openTestPlatform();
  const { id } = await register(platform);
  await platform.registry.setCard(id, card);
  await platform.registry.setCard(id, { ...card, notes: 'n' });
  const { audit } = platform.operations;
  const entries = await Array.fromAsync(audit.entries({ subject: 'model:fraud' }));
  expect(entries.filter(({ action }) => action.startsWith('model_card'))).toHaveLength(2);
  expect(await audit.verify()).toMatchObject({ intact: true });
});

describe('cardPage', () => {
  async function told(format: 'html' | 'markdown', text: string): Promise<string> {
    const { platform } = shared.fresh();
    const { registry } = platform;
    const parent = await register(platform, 'parent');
    const version = await registry.register({
      model: 'fraud',
      from: { files: { 'model.json': Buffer.from('child') } },
      format: 'JS',
      description: text.slice(0, 100),
      ...{ signature: parent.signature as never, metrics: { [`m ${text}`]: 0.5, auc: 0.9 } },
      lineage: {
        parentVersionIds: [parent.id],
        codeCommit: text,
        datasets: [{ digest: text, name: 'payments' }],
      },
    });
    await registry.setCard(version.id, {
      ...card,
      purpose: text,
      limitations: [text],
      custom: { [text]: { deep: text } },
      notes: text,
    });
    const { model, version: number } = version;
    await registry.requestTransition({ model, version: number, to: 'STAGING', reason: text });
    return await registry.cardPage(version.id, format);
  }

  test('as HTML is one page without script or outside parts, everything escaped', async () => {
    const page = await told('html', hostile);
    expect(page).toContain("default-src 'none'");
    const found = htmlElements(page);
    const names = new Set(found.map(({ name }) => name));
    for (const name of ['script', 'img', 'a', 'iframe', 'link']) expect(names).not.toContain(name);
    for (const { attributes } of found) {
      for (const attribute of attributes) expect(attribute).not.toMatch(/^(on|href|src)/i);
    }
    expect(page.split('&lt;script&gt;').length).toBeGreaterThan(8);
  });

  test('as Markdown stays within its lines and cells', async () => {
    const page = await told('markdown', hostile);
    expect(page).not.toContain('<script>');
    expect(page.match(/^# /gm)).toHaveLength(1);
    const tables = page.split('\n\n').filter((part) => part.startsWith('|'));
    expect(tables.length).toBeGreaterThan(5);
    for (const table of tables) {
      const widths = table.split('\n').map((row) => row.replaceAll('\\|', '').split('|').length);
      expect(new Set(widths).size).toBe(1);
    }
  });

  test('tells purpose, uses, metrics, signature, lineage and stages', async () => {
    const page = await told('markdown', 'plain words');
    for (const part of [
      '# fraud 1.1.0',
      '**STAGING**',
      '| team | risk |',
      '- decisions without a person',
      '| auc | 0.9 | 0.91 |',
      '| input | x | FP64 | \\[any, 2\\] | amount, age |',
      '| made from | fraud@1.0.0',
      '| dataset | payments plain words |',
      '| DEVELOPMENT → STAGING | DONE |',
    ]) {
      expect(page).toContain(part);
    }
    const { platform } = shared.fresh();
    const { id } = await register(platform);
    expect(await platform.registry.cardPage(id, 'html')).toContain('has no card yet');
    await expect(platform.registry.cardPage(id, 'pdf' as never)).rejects.toThrow('markdown');
  });
});

describe('a card as searches see it', () => {
  const leaf = fc.oneof(fc.string(), fc.integer(), fc.boolean());
  const tree = fc.letrec<{ tree: unknown }>((tie) => ({
    tree: fc.oneof(
      { depthSize: 'small' },
      leaf,
      fc.dictionary(fc.stringMatching(/^[a-z]+$/), tie('tree')),
    ),
  })).tree;

  test('has each plain value under its path, and only those', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[a-z]+$/), tree), (custom) => {
        const flat = flattenCard({ custom: custom as never });
        for (const [path, value] of Object.entries(flat)) {
          const found = path
            .split('.')
            .reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], { custom });
          expect(found).toBe(value);
        }
        const leaves = (value: unknown): number =>
          typeof value === 'object'
            ? Object.values(value as object).reduce((sum, each) => sum + leaves(each), 0)
            : 1;
        expect(Object.keys(flat)).toHaveLength(leaves(custom));
      }),
    );
  });

  test('fills a field with anything below it, and not with blanks or empty lists', () => {
    expect(missingFields(card, ['team', 'framework', 'performance.p99Ms'])).toEqual([]);
    const empty = { team: ' ', approvedUses: [], custom: {} };
    const fields = ['team', 'approvedUses', 'custom', 'frame'];
    expect(missingFields({ ...empty, framework: { name: 'x' } }, fields)).toEqual(fields);
    expect(missingFields(undefined, ['team'])).toEqual(['team']);
  });
});
