import { expect, onTestFinished, test } from 'vitest';
import { openTestPlatform } from '../../../test/open-test-platform.ts';
import { definePipeline } from '../define-pipeline.ts';
import type { Execution } from '../execution.ts';
import type { StepExecution } from '../step-execution.ts';
import { executionFrame } from './execution-frame.ts';
import { TerminalScreen } from './terminal-screen.ts';
import { fitText, textWidth } from './text-width.ts';
import { watchExecution } from './watch-execution.ts';

/** What a terminal shows of what is written to it: enough of one for what a screen writes. */
class Terminal {
  readonly isTTY = true;
  columns = 60;
  rows = 20;
  readonly writes: string[] = [];
  #lines = [''];
  #at = 0;
  #column = 0;
  cursor = true;
  onWrite: () => void = () => undefined;

  write(text: string): void {
    this.writes.push(text);
    for (const [part] of text.matchAll(/\p{Cc}\[\??\d*[A-Za-z]|./gsu)) this.#take(part);
    this.onWrite();
  }

  get lines(): readonly string[] {
    return this.#lines.map((line) => line.trimEnd()).slice(0, this.#lines.length - 1);
  }

  #take(part: string): void {
    const line = this.#lines[this.#at] ?? '';
    const up = /^\p{Cc}\[(\d+)A$/u.exec(part);
    if (up !== null) this.#at = Math.max(0, this.#at - Number(up[1]));
    else if (part === '\r') this.#column = 0;
    else if (part === '\u001b[K') this.#lines[this.#at] = line.slice(0, this.#column);
    else if (part === '\u001b[J') {
      this.#lines[this.#at] = line.slice(0, this.#column);
      this.#lines.length = this.#at + 1;
    } else if (part === '\u001b[?25l') this.cursor = false;
    else if (part === '\u001b[?25h') this.cursor = true;
    else if (part === '\n') {
      this.#at += 1;
      this.#column = 0;
      this.#lines[this.#at] ??= '';
    } else if (!part.startsWith('\u001b')) {
      if (this.#column >= this.columns) this.#take('\n');
      const now = (this.#lines[this.#at] ?? '').padEnd(this.#column);
      this.#lines[this.#at] = now.slice(0, this.#column) + part + now.slice(this.#column + 1);
      this.#column += 1;
    }
  }
}

test('on a terminal each step has one line, drawn in place, with progress and what it says', async () => {
  const { platform } = await openTestPlatform();
  const terminal = new Terminal();
  const seen: string[] = [];
  const shown = (what: RegExp): Promise<void> =>
    new Promise((resolve) => {
      terminal.onWrite = () => {
        seen.push(terminal.lines.join('\n'));
        if (what.test(seen.at(-1) ?? '')) resolve();
      };
    });
  const pipeline = definePipeline('shown', { version: '1.0.0' }, (p) => {
    const load = p.step('load', {}, async ({ progress, logger }) => {
      const logged = shown(/● load .*read 3 rows/);
      logger.info({ rows: 3 }, 'read 3 rows');
      await logged;
      const half = shown(/● load .*██████░░░░░░ {2}50 % {2}half of it/);
      progress(0.5, 'half of it\u001b[2J\n and more');
      await half;
      terminal.write('a line of somebody else\n');
      return [1, 2, 3];
    });
    const each = p.forEach('each', load, {}, ({ inputs }) => inputs.item);
    const said = p.command('say', { each }, [
      ...['sh', '-c', 'echo first; echo last words; read x < "$KEELSON_WORK_DIR/go"'],
    ]);
    p.step('never', { said }, () => 1, { when: 'has(parameters.more)' });
  });
  const { id } = await platform.pipelines.start(pipeline);
  const watching = watchExecution(platform.pipelines, id, { output: terminal, refreshMs: 50 });
  const { status } = await watching.catch((error: Error) => ({ status: error.message }));
  expect(status).toBe('FAILED');
  expect(terminal.lines).toEqual([
    'a line of somebody else',
    expect.stringMatching(/^shown 1\.0\.0 {2}failed {2}[\d.]+ s {2}4\/4 steps$/),
    expect.stringMatching(/^✓ load {2,}[\d.]+ s$/),
    expect.stringMatching(/^✓ each {2,}[\d.]+ s {2}3 of 3$/),
    expect.stringMatching(/^✗ say {2,}[\d.]+ s {2}.*…$/),
    expect.stringMatching(/^– never /),
  ]);
  expect(terminal.cursor).toBe(true);
  expect(Object.hasOwn(terminal, 'write')).toBe(false);
  expect(process.listenerCount('SIGINT')).toBe(0);
  for (const frame of seen) {
    for (const line of frame.split('\n')) expect(textWidth(line)).toBeLessThan(60);
  }
});

test('what is no terminal gets a line for each change, and no control characters', async () => {
  const { platform } = await openTestPlatform();
  const lines: string[] = [];
  const pipeline = definePipeline('plain', { version: '1.0.0' }, (p) => {
    const load = p.step('load', {}, () => 1, { version: '1' });
    p.step(
      'fit',
      { load },
      ({ attempt }) => {
        if (attempt === 1) throw new Error('away');
        return attempt;
      },
      { retries: { limit: 1, delayMs: 300 } },
    );
  });
  const { id } = await platform.pipelines.start(pipeline);
  const output = { write: (text: string) => lines.push(text) };
  const ended = await watchExecution(platform.pipelines, id, { output, refreshMs: 50 });
  expect(ended.status).toBe('COMPLETED');
  const told = lines.join('');
  expect(told.replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
  expect(told).toMatch(/^ {2}load {2}completed {2}[\d.]+ s$/m);
  expect(told).toMatch(/^ {2}fit {2}waits to be tried again .*away$/m);
  expect(told).toMatch(/^ {2}fit {2}completed {2}attempt 2 {2}[\d.]+ s$/m);
  expect(told).toMatch(/plain 1\.0\.0 {2}completed {2}[\d.]+ s\n$/);
  expect(new Set(lines).size).toBe(lines.length);
});

test('why an execution was ended is told at its end, where no step says so', async () => {
  const { platform, logs } = await openTestPlatform();
  const { pipelines } = platform;
  const hangs = definePipeline('hangs', { version: '1.0.0' }, (p) => {
    p.step(
      'wait',
      {},
      ({ signal }) =>
        new Promise<void>((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error));
        }),
    );
    p.step('fails', {}, () => {
      throw new Error('no more of this');
    });
  });
  const told = async (options: { readonly timeoutMs?: number }): Promise<string> => {
    const { id } = await pipelines.start(hangs, {}, { ...options, until: 'wait' });
    const lines: string[] = [];
    const watched = watchExecution(pipelines, id, {
      output: { write: (text: string) => lines.push(text) },
      refreshMs: 50,
    });
    if (options.timeoutMs === undefined) await pipelines.cancel(id, 'it is too dear');
    await watched;
    return lines.join('');
  };
  expect(await told({ timeoutMs: 300 })).toMatch(
    /hangs 1\.0\.0 {2}failed {2}\S+ s {2}The execution took longer than its 300 ms\.\n$/,
  );
  expect(await told({})).toMatch(/hangs 1\.0\.0 {2}cancelled {2}\S+ s {2}it is too dear\n$/);
  // What failed is the message's end before what becomes of it.
  await pipelines.wait(await pipelines.start(hangs, {}, { until: 'fails' }));
  expect(logs.map(({ message }) => message)).toContain(
    'Pipeline hangs, step fails: It failed (transient): no more of this. It will not be tried again.',
  );
});

test('how far a step has come is in steps(id) while it runs, and no longer', async () => {
  const { platform } = await openTestPlatform();
  const { pipelines } = platform;
  let during: StepExecution | undefined;
  const pipeline = definePipeline('far', { version: '1.0.0' }, (p) => {
    p.step('load', {}, async ({ progress, executionId }) => {
      progress(7, 'beyond');
      progress(0.25, 'a quarter');
      during = (await pipelines.steps(executionId))[0];
    });
  });
  const { id } = await pipelines.start(pipeline);
  await pipelines.wait(id);
  expect(during?.progress).toMatchObject({ share: 0.25, message: 'a quarter' });
  expect((await pipelines.steps(id))[0]?.progress).toBeUndefined();
});

test('SIGINT and the end of the process show the cursor again', () => {
  const terminal = new Terminal();
  const screen = new TerminalScreen(terminal);
  let told = 0;
  const listen = (): void => {
    told += 1;
  };
  process.on('SIGINT', listen);
  onTestFinished(() => void process.off('SIGINT', listen));
  screen.draw(['one', 'two']);
  expect(terminal.cursor).toBe(false);
  process.emit('SIGINT', 'SIGINT');
  expect([terminal.cursor, told, process.listenerCount('SIGINT')]).toEqual([true, 1, 1]);
  const again = new TerminalScreen(terminal);
  again.draw(['three']);
  const restore = process.listeners('exit').at(-1) as () => void;
  restore();
  expect(terminal.cursor).toBe(true);
  expect(terminal.lines).toEqual(['one', 'two', 'three']);
});

test('only what has changed is written; a narrower terminal is drawn over whole', () => {
  const terminal = new Terminal();
  const screen = new TerminalScreen(terminal);
  screen.draw(['a'.repeat(50), 'b']);
  screen.draw(['a'.repeat(50), 'b']);
  expect(terminal.writes).toHaveLength(1);
  terminal.write('not ended');
  terminal.write(', ended\nrest');
  expect(terminal.lines).toEqual(['not ended, ended', 'a'.repeat(50), 'b']);
  screen.draw(['c']);
  expect(terminal.lines).toEqual(['not ended, ended', 'c']);
  screen.close();
  screen.close();
  expect(terminal.writes.at(-1)).toMatch(/25h$/);

  const narrow = new Terminal();
  const drawn = new TerminalScreen(narrow);
  drawn.draw(['a'.repeat(50)]);
  narrow.columns = 20;
  drawn.draw(['x']);
  expect(narrow.writes.at(-1)).toContain('\u001b[3A');
  drawn.close();
});

test('a frame fits its terminal, and shows what runs or failed before all else', () => {
  const execution = {
    pipeline: 'big',
    version: '1.0.0',
    status: 'RUNNING',
    queuedAt: 0,
  } as Execution;
  const step = (i: number, status: StepExecution['status']): StepExecution =>
    ({
      id: `${i}`,
      step: `step ${i}`,
      status,
      attempt: 1,
      failures: 0,
      startedAt: 0,
    }) as StepExecution;
  const steps = Array.from({ length: 100 }, (_, i) => ({
    state: step(i, i === 3 ? 'FAILED' : i === 90 ? 'RUNNING' : i < 50 ? 'COMPLETED' : 'PENDING'),
  }));
  for (const columns of [1, 2, 10, 40, 200]) {
    const size = { columns, rows: 12, colours: false };
    const frame = executionFrame({ execution, steps }, size, 1000);
    expect(frame.length).toBeLessThan(12);
    for (const line of frame) expect(textWidth(line)).toBeLessThanOrEqual(Math.max(2, columns - 1));
  }
  const frame = executionFrame({ execution, steps }, { columns: 80, rows: 12, colours: false }, 0);
  expect(frame.filter((line) => /^[●✗]/.test(line))).toHaveLength(2);
  expect(frame.at(-1)).toMatch(/… 92 more: 4\d completed, 4\d waiting/);
});

test('widths are those of a terminal', () => {
  expect(['abc', '漢字', 'e\u0301', '🙂'].map(textWidth)).toEqual([3, 4, 1, 2]);
  expect(fitText('漢字漢字', 5)).toBe('漢字…');
  expect(fitText('a\tb\n\u001b[31mred\u001b[0m', 20)).toBe('a b red');
  expect(fitText('abcdef', 0)).toBe('');
});

test('options that it has not are refused', async () => {
  const { platform } = await openTestPlatform();
  const bad = watchExecution(platform.pipelines, 'x', { refresh: 1 } as object);
  await expect(bad).rejects.toMatchObject({ code: 'INVALID' });
  const missing = watchExecution(platform.pipelines, 'x', { output: { write: () => true } });
  await expect(missing).rejects.toMatchObject({ code: 'NOT_FOUND' });
});
