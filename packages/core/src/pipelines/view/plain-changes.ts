import {
  durationText,
  type ExecutionView,
  endingOf,
  itemsText,
  remarkOf,
  type StepView,
  shareOf,
  stateWord,
  tookMs,
} from './execution-view.ts';
import { fitText } from './text-width.ts';

const longest = 300;

/** Tells what has changed between one look at an execution and the next: a line for each change. */
export class PlainChanges {
  readonly #said = new Map<string, string>();
  #status = '';

  /** The lines that are due; a step's progress is told in tenths. */
  lines(view: ExecutionView, now: number): readonly string[] {
    const { pipeline, version, status, startedAt, endedAt, queuedAt } = view.execution;
    const lines = view.steps.flatMap((step) => this.#line(step, now));
    if (status !== this.#status) {
      this.#status = status;
      const took =
        endedAt === undefined ? '' : `  ${durationText(endedAt - (startedAt ?? queuedAt))}`;
      const why = endingOf(view.execution);
      const line = `${pipeline} ${version}  ${status.toLowerCase()}${took}${why === '' ? '' : `  ${why}`}`;
      // It begins before its steps, and ends after them.
      if (endedAt === undefined) lines.unshift(line);
      else lines.push(line);
    }
    return lines.map((line) => fitText(line, longest));
  }

  #line(view: StepView, now: number): readonly string[] {
    const { state, items } = view;
    const share = shareOf(view);
    const tenth = share === undefined ? -1 : Math.floor(share * 10);
    const word = stateWord(state);
    const change = `${word} ${state.attempt} ${tenth}`;
    const before = this.#said.get(state.id);
    this.#said.set(state.id, change);
    // That it waits is news only where it has run before.
    if (change === before || (before === undefined && word === 'waits')) return [];
    const took = tookMs(state, now);
    const parts = [
      `  ${state.step}  ${word}`,
      ...(state.attempt > 1 ? [`attempt ${state.attempt}`] : []),
      ...(share === undefined || tenth === 0 ? [] : [`${Math.floor(share * 100)} %`]),
      ...(items === undefined ? [] : [itemsText(items)]),
      ...(took === undefined || state.status === 'RUNNING' ? [] : [durationText(took)]),
      remarkOf(view, now),
    ];
    return [parts.filter((part) => part !== '').join('  ')];
  }
}
