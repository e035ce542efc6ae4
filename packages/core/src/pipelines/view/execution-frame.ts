import type { StepStatus } from '../execution-state.ts';
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
import { fitText, textWidth } from './text-width.ts';

/** What a terminal has room for. */
export interface FrameSize {
  readonly columns: number;
  readonly rows: number;
  readonly colours: boolean;
}

const marks: Readonly<Record<StepStatus, readonly [mark: string, colour: number]>> = {
  PENDING: ['·', 90],
  RUNNING: ['●', 36],
  COMPLETED: ['✓', 32],
  FAILED: ['✗', 31],
  SKIPPED: ['–', 90],
  CANCELLED: ['–', 33],
};
const barWidth = 12;

/**
 * The lines of an execution: one above, then one for each step, none wider than the terminal and no more than it
 * has rows. Where steps are too many, those that run or failed are shown first, then those around them.
 */
export function executionFrame(
  view: ExecutionView,
  size: FrameSize,
  now: number,
): readonly string[] {
  const { execution, steps } = view;
  const columns = Math.max(1, size.columns - 1);
  const room = Math.max(1, size.rows - 3);
  const shown = chosen(steps, room);
  const widest = Math.max(...shown.map(({ state }) => textWidth(state.step)), 4);
  const nameWidth = Math.min(widest, Math.max(8, Math.floor(columns / 3)));
  const left = steps.length - shown.length;
  const from = execution.startedAt ?? execution.queuedAt;
  const took = durationText((execution.endedAt ?? now) - from);
  const ended = steps.filter(({ state }) => !open.has(state.status)).length;
  const paused = execution.paused && open.has(execution.status as StepStatus) ? ', paused' : '';
  const why = endingOf(execution);
  return [
    fitText(
      `${execution.pipeline} ${execution.version}  ${execution.status.toLowerCase()}${paused}  ${took}  ${ended}/${steps.length} steps${why === '' ? '' : `  ${why}`}`,
      columns,
    ),
    ...shown.map((step) => stepLine(step, { ...size, columns }, nameWidth, now)),
    ...(left > 0 ? [fitText(`  … ${left} more: ${tally(steps, shown)}`, columns)] : []),
  ];
}

const open: ReadonlySet<StepStatus> = new Set(['PENDING', 'RUNNING']);

function stepLine(view: StepView, size: FrameSize, nameWidth: number, now: number): string {
  const { state, items } = view;
  const [mark, colour] = marks[state.status];
  const name = fitText(state.step, nameWidth);
  const took = tookMs(state, now);
  const share = shareOf(view);
  const attempt = state.attempt > 1 ? `attempt ${state.attempt}` : '';
  const cached = state.status === 'COMPLETED' && state.cachedFrom !== undefined ? 'cached' : '';
  const parts = [
    `${name}${' '.repeat(nameWidth - textWidth(name))}`,
    (took === undefined ? '' : durationText(took)).padStart(10),
    ...(share === undefined
      ? []
      : [`${bar(share)} ${String(Math.floor(share * 100)).padStart(3)} %`]),
    ...(attempt === '' ? [] : [attempt]),
    ...(cached === '' ? [] : [cached]),
    ...(items === undefined ? [] : [itemsText(items)]),
    remarkOf(view, now),
  ];
  // Cut before it is coloured: a colour takes no room.
  const text = fitText(parts.join('  '), size.columns - 2);
  return `${size.colours ? `\u001b[${colour}m${mark}\u001b[39m` : mark} ${text}`;
}

function bar(share: number): string {
  const full = Math.round(share * barWidth);
  return '█'.repeat(full) + '░'.repeat(barWidth - full);
}

/** In their order: what runs or failed, then what ended last and what comes next. */
function chosen(steps: readonly StepView[], room: number): readonly StepView[] {
  if (steps.length <= room) return steps;
  const rank = ({ state }: StepView): number =>
    state.status === 'RUNNING' ? 0 : state.status === 'FAILED' ? 1 : 2;
  const at = steps.findIndex(({ state }) => open.has(state.status));
  const centre = at < 0 ? steps.length - 1 : at;
  const near = steps.map((step, i) => ({ step, i, far: Math.abs(i - centre) }));
  near.sort((a, b) => rank(a.step) - rank(b.step) || a.far - b.far);
  return near
    .slice(0, Math.max(0, room - 1))
    .toSorted((a, b) => a.i - b.i)
    .map(({ step }) => step);
}

function tally(steps: readonly StepView[], shown: readonly StepView[]): string {
  const seen = new Set(shown);
  const words = new Map<string, number>();
  for (const step of steps) {
    if (seen.has(step)) continue;
    const word = step.state.status === 'PENDING' ? 'waiting' : stateWord(step.state);
    words.set(word, (words.get(word) ?? 0) + 1);
  }
  return [...words].map(([word, n]) => `${n} ${word}`).join(', ');
}
