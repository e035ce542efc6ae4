import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openTestPlatform, sharePlatform } from '../../test/open-test-platform.ts';

const shared = sharePlatform();
const quick = { experiment: 'e', environment: false } as const;
const evil = '<script>alert(1)</script><img src=x onerror=alert(2)> "\'&</style></title>';

/** Nothing runs, nothing is loaded: the tags are ours, and every address is a data URL. */
function assertHarmless(page: string): void {
  const tags = new Set([...page.matchAll(/<\/?([a-zA-Z!][\w-]*)/g)].map(([, name]) => name));
  expect([...tags].sort()).toEqual(
    expect.arrayContaining(['body', 'h1', 'head', 'header', 'html', 'meta', 'style', 'title']),
  );
  const known =
    /^(!doctype|html|head|meta|title|style|body|header|section|h1|h2|p|dl|div|dt|dd|span|b|strong|figure|figcaption|svg|polyline|line|text|img|table|tr|th|td)$/;
  expect([...tags].filter((name) => !known.test(name ?? ''))).toEqual([]);
  expect(page).not.toMatch(/<script/i);
  // Attribute values aside, which are escaped: no handler.
  expect(page.replaceAll(/="[^"]*"/g, '')).not.toMatch(/<[^>]*\son\w+\s*=/i);
  expect(page).not.toMatch(
    /(href|src|url|action|data)\s*=\s*["']?\s*(https?:|\/\/|javascript:|file:)/i,
  );
  expect(page).not.toMatch(/url\(|@import|https?:\/\//i);
  for (const [, source] of page.matchAll(/src="([^"]*)"/g)) expect(source).toMatch(/^data:image\//);
  expect(page).toContain("default-src 'none'; img-src data:; style-src 'unsafe-inline'");
}

describe('runPage', () => {
  test('shows what was logged: params, curves, figures, datasets, nested runs, artifacts', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const id = await tracking.withRun(
      {
        ...quick,
        name: 'sweep',
        params: { rate: 0.001, layers: [64, 32] },
        tags: { team: 'vision' },
      },
      async (run) => {
        for (let i = 0; i < 500; i += 1) run.logMetric('loss', 1 / (i + 1));
        run.logMetric('score', 0.75);
        await run.logFigure('plot.svg', '<svg xmlns="http://www.w3.org/2000/svg"></svg>');
        await run.logText('model/weights.txt', 'w');
        await run.logDataset({ name: 'seattle', digest: 'abc', role: 'train', rowCount: 1234 });
        for (const rate of [1, 2]) {
          await tracking.withRun({ ...quick, params: { rate, same: 1 } }, (nested) => {
            nested.logMetric('accuracy', rate / 4);
          });
        }
        await expect(
          tracking.withRun({ ...quick, name: 'broken' }, () => {
            throw new Error('out of memory');
          }),
        ).rejects.toThrow();
        return run.id;
      },
    );
    const page = await tracking.runPage(id);
    assertHarmless(page);
    for (const part of [
      '<title>sweep · e</title>',
      'class="status COMPLETED"',
      '<strong>loss</strong>',
      'points <b>500</b>',
      '<td>score</td><td>0.75</td>',
      '<polyline points="',
      'src="data:image/svg+xml;base64,',
      '<td>seattle</td><td>train</td><td>1,234</td>',
      'model/weights.txt',
      '[64,32]',
      'vision',
      '<td class="n">0.25</td>',
      '<td class="reason">out of memory</td>',
    ]) {
      expect(page).toContain(part);
    }
    // Nested runs show the params in which they differ, and only those.
    expect(page).toMatch(/<th>name<\/th><th>status<\/th><th>rate<\/th><th class="n">accuracy/);
    expect(await tracking.listDatasets(id)).toEqual([
      expect.objectContaining({ name: 'seattle', digest: 'abc', role: 'train', rowCount: 1234 }),
    ]);
  });

  test('everything hostile is shown as text', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const id = await tracking.withRun(
      {
        experiment: evil,
        name: evil,
        description: evil,
        tags: { [evil]: evil },
        params: { [evil]: evil, nested: [evil] },
        environment: false,
      },
      async (run) => {
        run.logMetric(evil, 1);
        for (let i = 0; i < 3; i += 1) run.logMetric(`${evil}2`, i);
        await run.logFigure(
          'plot <b onclick=alert(1)>.svg',
          '<svg><script>alert(3)</script></svg>',
          {
            mimeType: 'image/svg+xml" onerror="alert(4)',
          },
        );
        await run.logText('<script>alert(5)</script'.replaceAll('/', '∕'), 'x');
        await run.logDataset({
          name: evil,
          digest: evil,
          role: 'test',
          sourceUri: `javascript:${evil}`,
        });
        await tracking.withRun({ ...quick, name: evil, params: { [evil]: evil } }, () => undefined);
        await expect(
          tracking.withRun(quick, () => {
            throw new Error(evil);
          }),
        ).rejects.toThrow();
        return run.id;
      },
    );
    const page = await tracking.runPage(id);
    assertHarmless(page.replaceAll('javascript:', ''));
    expect(page).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(page).not.toContain('alert(3)');
  });

  test('whatever the texts are, no tag comes of them', async () => {
    const { platform } = shared.fresh();
    const { tracking } = platform;
    const text = fc
      .string({
        unit: fc.constantFrom('<', '>', '"', "'", '&', '/', 'b', ' ', '=', '\n', '😀'),
        minLength: 1,
        maxLength: 12,
      })
      .filter((t) => t.trim() !== '');
    await fc.assert(
      fc.asyncProperty(text, text, text, async (name, key, value) => {
        const run = await tracking.startRun({
          ...quick,
          name,
          params: { [`k${key}`]: value },
          tags: { [key]: value },
          description: value,
        });
        run.logMetric(key, 1);
        await run.finish('FAILED', value);
        assertHarmless(await tracking.runPage(run.id));
      }),
      { numRuns: 25, verbose: 1 },
    );
  });

  test('with nothing logged it says so', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    const page = await platform.tracking.runPage(run.id);
    assertHarmless(page);
    expect(page).toContain('Nothing has been logged yet.');
    expect(page).toContain('class="status RUNNING"');
    expect(page).not.toContain('<h2>');
  });

  test.each<[string, readonly number[], RegExp]>([
    ['NaN alone', [Number.NaN, Number.NaN], /no finite values/],
    ['infinities alone', [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY], /no finite values/],
    ['one NaN', [Number.NaN], /<td>m<\/td><td>NaN<\/td>/],
    ['gaps', [1, 2, Number.NaN, 3, 4], /<polyline points="[^"]*"\/><polyline points/],
    ['a constant', [5, 5, 5], /<polyline points="54\.0,60\.0 /],
    ['the whole range of numbers', [Number.MAX_VALUE, -Number.MAX_VALUE], /points="54\.0,8\.0 /],
    ['the least numbers', [5e-324, 0], /4\.9e-324|5\.0e-324|5e-324/],
  ])('a metric of %s', async (_, values, wanted) => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    for (const [step, value] of values.entries()) run.logMetric('m', value, { step });
    await run.finish();
    const page = await platform.tracking.runPage(run.id);
    assertHarmless(page);
    expect(page).toMatch(wanted);
    expect(page).not.toMatch(/points="[^"]*(NaN|Infinity)/);
  });

  test('steps from the least to the greatest integer', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    run.logMetric('m', 1, { step: Number.MIN_SAFE_INTEGER });
    run.logMetric('m', 2, { step: Number.MAX_SAFE_INTEGER });
    await run.finish();
    const page = await platform.tracking.runPage(run.id);
    expect(page).toContain('points="54.0,112.0 54.0,112.0 314.0,8.0 314.0,8.0"');
  });

  test('figures that are large are left out, and said to be', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    const svg = (bytes: number): string => `<svg><!--${'x'.repeat(bytes)}--></svg>`;
    await run.logFigure('big.svg', svg(2_000_001));
    for (let i = 0; i < 12; i += 1) await run.logFigure(`${i}.svg`, svg(1_900_000 + i));
    const page = await platform.tracking.runPage(run.id);
    assertHarmless(page);
    expect(page).toContain('1.9 MiB: too large to be shown here');
    expect(page.length).toBeLessThan(30_000_000);
    expect(page.match(/<img /g)).toHaveLength(10);
    expect(page.match(/too large to be shown/g)).toHaveLength(3);
  });

  test('a damaged figure does not keep the rest from being shown', async () => {
    const { platform, dir } = await openTestPlatform();
    const run = await platform.tracking.startRun(quick);
    await run.logFigure('a.svg', '<svg><!--to be damaged--></svg>');
    await run.logFigure('b.svg', '<svg><!--whole--></svg>');
    const files = await readdir(join(dir, 'artifacts'), { recursive: true, withFileTypes: true });
    for (const entry of files.filter((each) => each.isFile())) {
      const file = join(entry.parentPath, entry.name);
      const text = await readFile(file, 'utf8');
      if (text.includes('to be damaged')) await writeFile(file, text.replace('damaged', 'DAMAGED'));
    }
    const page = await platform.tracking.runPage(run.id);
    assertHarmless(page);
    expect(page).toContain('cannot be shown: ');
    expect(page.match(/<img /g)).toHaveLength(1);
  });

  test('more than is shown is said to be there', async () => {
    const { platform } = shared.fresh();
    const run = await platform.tracking.startRun(quick);
    for (let i = 0; i < 70; i += 1) run.logMetrics({ [`m${i}`]: i });
    await run.logParams({ ['k'.repeat(5000)]: 'v'.repeat(5000), __proto__x: null });
    await run.finish();
    const page = await platform.tracking.runPage(run.id);
    expect(page).toContain('and 10 more metrics');
    expect(page).not.toContain('v'.repeat(501));
    expect(page).not.toContain('k'.repeat(501));
  });
});
