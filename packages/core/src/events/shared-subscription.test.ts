import { describe, expect, test } from 'vitest';
import { ChildProgram, childFile } from '../../test/child-program.ts';
import { openTestEvents } from '../../test/open-test-events.ts';
import { temporaryDirectory, until } from '../../test/open-test-platform.ts';

const seed = Number(process.env['KEELSON_SEED'] ?? Date.now() % 1_000_000);
const kills = Number(process.env['KEELSON_SUBSCRIBER_KILLS'] ?? 6);

function random(start: number): () => number {
  let state = start;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31;
    return state / 2 ** 31;
  };
}

async function startSubscriber(dir: string, how: string): Promise<ChildProgram> {
  const child = new ChildProgram(childFile('subscriber'), [dir, how]);
  await child.line(/^ready/);
  return child;
}

const handled = (child: ChildProgram): string[] =>
  child.lines.filter((line) => line.startsWith('handled')).map((line) => line.slice(8));

describe('a subscription that processes share', () => {
  test('each event is handled by one of them, in order, and none is left', async () => {
    const dir = await temporaryDirectory();
    const { events, emit } = await openTestEvents({ dir });
    const children = await Promise.all(['', ''].map(() => startSubscriber(dir, '')));
    const ids: string[] = [];
    for (let i = 0; i < 20; i += 1) {
      ids.push(...(await emit(...Array.from({ length: 10 }, (_, n) => `s:${n % 3}`))));
    }
    await events.settled(ids.at(-1) ?? '', { subscriptions: ['shared'] });
    await until('all is printed', () => children.flatMap(handled).length >= 200);
    expect(children.flatMap(handled)).toHaveLength(200);
    expect(new Set(children.flatMap(handled)).size).toBe(200);
    for (const child of children) {
      for (const subject of ['s:0', 's:1', 's:2']) {
        const own = handled(child).filter((line) => line.endsWith(subject));
        const numbers = own.map((line) => Number(line.split(' ')[0]));
        expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
      }
    }
    expect(await events.deadLetters()).toEqual([]);
  });

  test('SIGKILL in the middle of a handler: another process goes on at once', async () => {
    const dir = await temporaryDirectory();
    const { events, emit } = await openTestEvents({ dir });
    const stuck = await startSubscriber(dir, 'hang');
    const [id = ''] = await emit('a', 'a');
    await stuck.line(/^handling 1 a/);
    const next = await startSubscriber(dir, '');
    // While the first one lives, nobody takes its events away.
    await expect(
      events.settled(id, { subscriptions: ['shared'], timeoutMs: 500 }),
    ).rejects.toMatchObject({ code: 'TIMEOUT' });
    expect(next.lines).toEqual(['ready']);
    await stuck.kill();
    const killedAt = performance.now();
    await next.line(/^handled 2 a/);
    // A lease lasts 15 s: that is not what it waited for.
    expect(performance.now() - killedAt).toBeLessThan(5_000);
    expect(handled(next)).toEqual(['1 a', '2 a']);
  });

  test(`killed ${kills} times at random moments, each event has its effect once`, async () => {
    const dir = await temporaryDirectory();
    const { events, emit, test: opened } = await openTestEvents({ dir });
    const draw = random(seed);
    const ids: string[] = [];
    let cut = 0;
    let child = await startSubscriber(dir, 'count');
    for (let i = 0; i < kills || (cut === 0 && i < 10 * kills); i += 1) {
      ids.push(...(await emit(...Array.from({ length: 60 }, (_, n) => `s:${n % 5}`))));
      const before = handled(child).length;
      const standby = startSubscriber(dir, 'count');
      await new Promise((resolve) => setTimeout(resolve, draw() * 150));
      await child.kill();
      if (handled(child).length - before < 60) cut += 1;
      child = await standby;
    }
    // The last of each subject.
    for (const id of ids.slice(-5)) await events.settled(id, { subscriptions: ['shared'] });
    const { scope } = opened;
    const counts = new Map<unknown, number>();
    for (const id of ids) {
      const tally = await scope.metadata.find(scope.workspace, 'tally', id);
      const count = tally?.columns['count'];
      counts.set(count, (counts.get(count) ?? 0) + 1);
    }
    expect(counts, `seed ${seed}`).toEqual(new Map([[1, ids.length]]));
    expect(await events.deadLetters()).toEqual([]);
    // Kills that hit nothing would prove nothing.
    expect(cut, `seed ${seed}`).toBeGreaterThan(0);
  }, 120_000);

  test('an event that ends its process is found, given up, and stops nothing else', async () => {
    const dir = await temporaryDirectory();
    const { events, emit } = await openTestEvents({ dir });
    const made = { types: ['thing.done'], from: 'start' } as const;
    await (await events.subscribe('shared', made, () => undefined)).unsubscribe();
    const subjects = Array.from({ length: 40 }, (_, n) => `s:${n}`);
    const ids = await emit(...subjects, 'poison', ...subjects);
    const handledOnes = new Set<string>();
    let deaths = 0;
    for (let isOver = false; !isOver && deaths < 12; ) {
      const child = await startSubscriber(dir, 'poison');
      let hasEnded = false;
      void child.end().then(() => {
        hasEnded = true;
      });
      await until('it ends, or is through', async () => {
        const [view] = await events.subscriptions();
        isOver = view?.deadLetters === 1 && view.lagMs === 0 && view.parked.length === 0;
        return hasEnded || isOver;
      });
      for (const line of handled(child)) handledOnes.add(line);
      if (hasEnded) deaths += 1;
      else await child.kill();
    }
    expect(deaths).toBeGreaterThanOrEqual(5);
    expect(deaths).toBeLessThan(9);
    expect(await events.deadLetters('shared')).toMatchObject([
      { eventId: ids[40], error: expect.stringContaining('has ended 5 times') },
    ]);
    expect(handledOnes.size).toBe(80);
  }, 60_000);
});
