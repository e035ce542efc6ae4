import { z } from 'zod';
import { assertObject, checkOptions } from '../../check-options.ts';
import { KeelsonError } from '../../errors.ts';
import { given } from '../execution.ts';
import { stepHasEnded } from '../execution-state.ts';
import type { EndedExecution, Pipelines, TypedExecution } from '../pipelines-types.ts';
import type { StepExecution } from '../step-execution.ts';
import { executionFrame } from './execution-frame.ts';
import type { ExecutionView, ItemCounts, StepView } from './execution-view.ts';
import { LastLines } from './last-lines.ts';
import { PlainChanges } from './plain-changes.ts';
import { type TerminalOutput, TerminalScreen } from './terminal-screen.ts';

/** Where and how an execution is watched. */
export interface WatchOptions {
  /** A terminal is drawn on in place, anything else gets a line for each change; `process.stderr` when left out. */
  readonly output?: TerminalOutput;
  /** Aborting it stops the watching (ABORTED), not the execution. */
  readonly signal?: AbortSignal;
  /** How often it is looked at, besides when something happens: 50 to 60,000; 200 when left out. */
  readonly refreshMs?: number;
}

/** What watching needs of pipelines. */
export type WatchedPipelines = Pick<Pipelines, 'get' | 'steps' | 'items' | 'logs' | 'wait'>;

const shape = z.strictObject({
  output: z
    .custom<TerminalOutput>(
      (output) => typeof (output as TerminalOutput | undefined)?.write === 'function',
      'a stream to write to',
    )
    .optional(),
  signal: z.instanceof(AbortSignal).optional(),
  refreshMs: z.number().int().min(50).max(60_000).optional(),
} satisfies Record<keyof WatchOptions, z.ZodType>);

/** Items beyond this are counted by those that are left, not one by one. */
const itemsLookedAt = 1_000;
/** Of the time, at most one part in so many goes into looking. */
const looksOneIn = 5;

/**
 * Waits for an execution as `pipelines.wait` does (this process runs what it can of it) and shows it meanwhile: on a
 * terminal a line for each step, drawn in place, elsewhere a line for each change. Answers the ended execution.
 */
export async function watchExecution<O = unknown>(
  pipelines: WatchedPipelines,
  execution: string | TypedExecution<O>,
  options: WatchOptions = {},
): Promise<EndedExecution<O>> {
  assertObject(pipelines, 'watchExecution');
  if (typeof pipelines.wait !== 'function') {
    throw new KeelsonError('INVALID', 'watchExecution takes platform.pipelines first.');
  }
  checkOptions(shape, options, 'watchExecution');
  const id =
    typeof execution === 'string' ? execution : assertObject(execution, 'watchExecution').id;
  const { output = process.stderr, signal, refreshMs = 200 } = options;
  const view = viewOn(output);
  const lines = new LastLines(pipelines, id);
  const watching = new AbortController();
  const news = new News();
  const showing = show(pipelines, id, { view, lines, news, refreshMs, signal: watching.signal });
  // Looked at below.
  showing.catch(() => undefined);
  try {
    const onProgress = (): void => news.tell();
    const ended = await pipelines.wait<O>(execution, { onProgress, ...given('signal', signal) });
    watching.abort();
    await showing;
    view.show(await look(pipelines, id, lines), Date.now());
    return ended;
  } finally {
    watching.abort();
    lines.close();
    view.close();
  }
}

/** Shows looks at an execution. */
interface View {
  show(view: ExecutionView, now: number): void;
  close(): void;
}

function viewOn(output: TerminalOutput): View {
  const terminal = output.isTTY === true && process.env['TERM'] !== 'dumb';
  if (!terminal) {
    const changes = new PlainChanges();
    return {
      show(view, now) {
        for (const line of changes.lines(view, now)) output.write(`${line}\n`);
      },
      close: () => undefined,
    };
  }
  const screen = new TerminalScreen(output);
  const colours = (process.env['NO_COLOR'] ?? '') === '';
  return {
    show(view, now) {
      const { columns = 80, rows = 24 } = output;
      screen.draw(executionFrame(view, { columns, rows, colours }, now));
    },
    close: () => screen.close(),
  };
}

async function show(
  pipelines: WatchedPipelines,
  id: string,
  how: {
    readonly view: View;
    readonly lines: LastLines;
    readonly news: News;
    readonly refreshMs: number;
    readonly signal: AbortSignal;
  },
): Promise<void> {
  const { view, lines, news, refreshMs, signal } = how;
  while (!signal.aborted) {
    const began = performance.now();
    const seen = await look(pipelines, id, lines);
    if (signal.aborted) return;
    view.show(seen, Date.now());
    const took = performance.now() - began;
    const least = Math.max(50, took * looksOneIn);
    await news.rest(least, Math.max(refreshMs, least), signal);
  }
}

async function look(
  pipelines: WatchedPipelines,
  id: string,
  lines: LastLines,
): Promise<ExecutionView> {
  const [execution, states] = await Promise.all([pipelines.get(id), pipelines.steps(id)]);
  lines.follow(states);
  const steps = states.map(async (state): Promise<StepView> => {
    const items = await countItems(pipelines, id, state);
    return { state, ...given('items', items), ...given('said', lines.of(state)) };
  });
  return { execution, steps: await Promise.all(steps) };
}

async function countItems(
  pipelines: WatchedPipelines,
  id: string,
  state: StepExecution,
): Promise<ItemCounts | undefined> {
  const { items: all, itemsLeft = 0 } = state;
  if (all === undefined) return undefined;
  if (all > itemsLookedAt) {
    const ended = { all, completed: all - itemsLeft, running: 0, failed: 0, skipped: 0 };
    return stepHasEnded(state.status) ? { ...ended, completed: all } : ended;
  }
  const items = await pipelines.items(id, state.step);
  const count = (...of: readonly string[]): number =>
    items.filter(({ status }) => of.includes(status)).length;
  return {
    all,
    completed: count('COMPLETED'),
    running: count('RUNNING'),
    failed: count('FAILED'),
    skipped: count('SKIPPED', 'CANCELLED'),
  };
}

/** Wakes whoever shows when something has happened. */
class News {
  #told = false;
  #wake: () => void = () => undefined;

  tell(): void {
    this.#told = true;
    this.#wake();
  }

  /** For at least `least` ms, and until something happens, at most `most`; no longer than until the abort. */
  async rest(least: number, most: number, signal: AbortSignal): Promise<void> {
    this.#told = false;
    await this.#sleep(least, signal, false);
    if (!this.#told && most > least) await this.#sleep(most - least, signal, true);
  }

  #sleep(ms: number, signal: AbortSignal, wakes: boolean): Promise<void> {
    return new Promise((resolve) => {
      if (signal.aborted) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#wake = () => undefined;
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener('abort', done);
      if (wakes) this.#wake = done;
    });
  }
}
