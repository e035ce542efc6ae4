import { describe, expect, test } from 'vitest';
import { htmlElements } from '../../test/html-elements.ts';
import { sharePlatform } from '../../test/open-test-platform.ts';
import type { Tracking } from './tracking.ts';

const shared = sharePlatform();
const hostile = `<script>alert(1)</script><img src=x onerror=alert(1)>"'&`;

async function logged(
  tracking: Tracking,
  name: string,
  losses: readonly number[],
): Promise<string> {
  const params = { rate: losses.length, [`p ${hostile}`]: hostile, shared: 'the same' };
  const options = { experiment: hostile, name, params, tags: { [hostile]: name } };
  return tracking.withRun({ ...options, environment: false }, async (run) => {
    for (const [step, loss] of losses.entries())
      run.logMetrics({ loss, [`m ${hostile}`]: loss }, { step });
    await run.logText(`a ${hostile.replaceAll('/', '|')}`, name);
    await run.logText('same.txt', 'same');
    return run.id;
  });
}

describe('comparisonPage', () => {
  test('is one page without script or outside parts, hostile names and values escaped', async () => {
    const { tracking } = shared.fresh().platform;
    await tracking.defineMetric({ name: 'loss', unit: hostile.slice(0, 50) });
    const first = await logged(tracking, hostile, [3, 2, 1]);
    const second = await logged(tracking, `other ${hostile}`, [3, Number.NaN]);
    const page = await tracking.comparisonPage([first, second], { baseline: first });
    expect(page).toContain("default-src 'none'");
    const found = htmlElements(page);
    expect([...new Set(found.map(({ name }) => name))].toSorted()).toEqual(harmless);
    const attributes = new Set(found.flatMap((element) => element.attributes));
    for (const attribute of attributes) expect(attribute).not.toMatch(/^(on|href|src|xlink)/i);
    expect(page.split('&lt;script&gt;').length).toBeGreaterThan(8);
    expect(page).not.toContain('url(');
  });

  test('shows curves, figures with the best marked, what differs, and hides what does not', async () => {
    const { tracking } = shared.fresh().platform;
    const first = await logged(tracking, 'first', [3, 2, 1]);
    const second = await logged(tracking, 'second', [3, 2.5]);
    const third = await logged(tracking, 'third', []);
    const page = await tracking.comparisonPage([first, second, third], { baseline: second });
    // Two metrics, a line for each of the two runs that have them.
    expect(page.match(/<polyline /g)).toHaveLength(4);
    const rows = page.match(/<tr>.*?<\/tr>/g) ?? [];
    const best = rows.filter((row) => row.includes('class="n best"'));
    expect(best).toHaveLength(1);
    expect(best[0]).toMatch(/first<\/span>.*-1\.5 \(-60\.0 %\).*<td class="n best">1</);
    expect(rows.find((row) => row.startsWith('<tr><td>rate</td>'))).toContain('>3</td>');
    expect(page).not.toContain('the same</td>');
    expect(page).toContain('Params the same in all runs, not shown: 2.');
    expect(page).not.toContain('same.txt');
    expect(page).toContain('With the same content in all runs, not shown: 1.');
  });

  test('refuses more runs than a page can show', async () => {
    const { tracking } = shared.fresh().platform;
    const ids = Array.from({ length: 51 }, (_, i) => `run-${i}`);
    await expect(tracking.comparisonPage(ids)).rejects.toThrow('at most 50 runs');
  });
});

const harmless = (
  'b body div figcaption figure h1 h2 h3 head header html line meta p polyline section span style svg ' +
  'table tbody td text th thead title tr'
).split(' ');
