import type { Pipelines } from '../pipelines-types.ts';
import type { StepExecution } from '../step-execution.ts';

/** At most so many logs are followed at once: those of the first steps that run. */
const followedAtOnce = 20;

/** The last line that each running step of an execution has written, as far as this process can know. */
export class LastLines {
  readonly #pipelines: Pick<Pipelines, 'logs'>;
  readonly #executionId: string;
  readonly #following = new Map<string, AbortController>();
  readonly #lines = new Map<string, string>();

  constructor(pipelines: Pick<Pipelines, 'logs'>, executionId: string) {
    this.#pipelines = pipelines;
    this.#executionId = executionId;
  }

  of(state: StepExecution): string | undefined {
    return state.status === 'RUNNING' ? this.#lines.get(attemptOf(state)) : undefined;
  }

  /** Follows those that run, and no longer those that do not. */
  follow(states: readonly StepExecution[]): void {
    const running = states
      .filter(({ status, items }) => status === 'RUNNING' && items === undefined)
      .slice(0, followedAtOnce);
    const now = new Set(running.map(attemptOf));
    for (const [attempt, controller] of this.#following) {
      if (now.has(attempt)) continue;
      controller.abort();
      this.#following.delete(attempt);
      this.#lines.delete(attempt);
    }
    for (const state of running) {
      if (!this.#following.has(attemptOf(state))) this.#begin(state);
    }
  }

  close(): void {
    this.follow([]);
  }

  #begin(state: StepExecution): void {
    const attempt = attemptOf(state);
    const controller = new AbortController();
    this.#following.set(attempt, controller);
    const read = async (): Promise<void> => {
      const { signal } = controller;
      const how = { follow: true, attempt: state.attempt, signal };
      for await (const { text } of this.#pipelines.logs(this.#executionId, state.step, how)) {
        const line = text.trimEnd().split('\n').at(-1) ?? '';
        if (line !== '' && !signal.aborted) this.#lines.set(attempt, messageIn(line));
      }
    };
    // One that cannot be had from here, or not yet, is asked for again at the next look.
    const over = (): void => {
      if (this.#following.get(attempt) === controller) this.#following.delete(attempt);
    };
    read().then(over, over);
  }
}

/** Of a line of a logger, the message. */
function messageIn(line: string): string {
  if (!line.startsWith('{')) return line;
  try {
    const { message, msg = message } = JSON.parse(line) as { message?: unknown; msg?: unknown };
    return typeof msg === 'string' ? msg : line;
  } catch {
    return line;
  }
}

function attemptOf({ id, attempt }: StepExecution): string {
  return `${id}:${attempt}`;
}
