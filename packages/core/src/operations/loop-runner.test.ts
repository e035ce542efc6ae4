import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ChildProgram } from '../../test/child-program.ts';
import { type LogLine, temporaryDirectory, until } from '../../test/open-test-platform.ts';
import { LoopRunner } from './loop-runner.ts';

function openRunner(): { readonly runner: LoopRunner; readonly logs: LogLine[] } {
  const logs: LogLine[] = [];
  const log = (level: LogLine['level']) => (fields: object, message: string) => {
    logs.push({ level, message, fields: fields as LogLine['fields'] });
  };
  const logger = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') };
  return { runner: new LoopRunner(logger), logs };
}

describe('LoopRunner', () => {
  test('runs loops side by side; a busy one does not rest, an idle one does', async () => {
    const { runner } = openRunner();
    const rounds = { busy: 0, idle: 0 };
    runner.add({
      name: 'busy',
      idleMs: 60_000,
      async runOnce() {
        rounds.busy += 1;
        await new Promise((resolve) => setImmediate(resolve));
        return rounds.busy < 100;
      },
    });
    runner.add({
      name: 'idle',
      idleMs: 5,
      async runOnce() {
        rounds.idle += 1;
        return false;
      },
    });
    await until('both have run', () => rounds.busy === 100 && rounds.idle > 5);
    await runner.stop(1000);
    const after = { ...rounds };
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(rounds).toEqual(after);
  });

  test('a loop that fails is told of, rests longer each time, and goes on', async () => {
    const { runner, logs } = openRunner();
    const at: number[] = [];
    runner.add({
      name: 'fragile',
      idleMs: 10,
      async runOnce() {
        at.push(performance.now());
        if (at.length <= 3) throw new Error(`failure ${at.length}`);
        return false;
      },
    });
    await until('it has recovered', () => at.length >= 5);
    await runner.stop(1000);
    expect(logs.map((line) => line.fields)).toMatchObject([
      { loop: 'fragile', failures: 1 },
      { loop: 'fragile', failures: 2 },
      { loop: 'fragile', failures: 3 },
    ]);
    const rests = at.slice(1).map((time, i) => time - (at[i] ?? 0));
    expect(rests[0]).toBeGreaterThan(18);
    expect(rests[1]).toBeGreaterThan(38);
    expect(rests[2]).toBeGreaterThan(78);
  });

  test('one loop is stopped alone, when its round is over', async () => {
    const { runner } = openRunner();
    let others = 0;
    let state = '';
    const stop = runner.add({
      name: 'one',
      idleMs: 1,
      async runOnce(signal) {
        state = 'in a round';
        await new Promise((resolve) => signal.addEventListener('abort', resolve));
        await new Promise((resolve) => setTimeout(resolve, 20));
        state = 'through';
        return true;
      },
    });
    runner.add({
      name: 'other',
      idleMs: 1,
      async runOnce() {
        others += 1;
        return false;
      },
    });
    await until('it is in a round', () => state !== '');
    await stop();
    expect(state).toBe('through');
    const before = others;
    await until('the other goes on', () => others > before);
    await stop();
    await runner.stop(1000);
  });

  test('stopping waits no longer than it is told to; what is added later does not run', async () => {
    const { runner } = openRunner();
    runner.add({ name: 'deaf', idleMs: 1, runOnce: () => new Promise(() => undefined) });
    const startedAt = performance.now();
    await runner.stop(50);
    expect(performance.now() - startedAt).toBeGreaterThan(40);
    expect(performance.now() - startedAt).toBeLessThan(5000);
    let ran = false;
    const stop = runner.add({
      name: 'late',
      idleMs: 1,
      async runOnce() {
        ran = true;
        return false;
      },
    });
    await stop();
    expect(ran).toBe(false);
  });

  test('loops that rest keep no process alive', async () => {
    const file = join(await temporaryDirectory(), 'rest.ts');
    const source = new URL('./loop-runner.ts', import.meta.url).href;
    await writeFile(
      file,
      `import { LoopRunner } from ${JSON.stringify(source)};
       const quiet = () => undefined;
       const runner = new LoopRunner({ debug: quiet, info: quiet, warn: quiet, error: quiet });
       runner.add({ name: 'x', idleMs: 60_000, runOnce: async () => false });
       runner.add({ name: 'y', idleMs: 60_000, runOnce: async () => { throw new Error('y'); } });
       setTimeout(() => console.log('the end'), 20);`,
    );
    const child = new ChildProgram(file);
    expect(await child.end()).toEqual({ code: 0, signal: null });
    expect(child.lines).toEqual(['the end']);
  });
});
