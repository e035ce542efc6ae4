import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { markOf, Scroll, Status } from '../../parts/basics.tsx';
import { showDuration, showExactly } from '../../parts/format.ts';
import { type Attempt, labelOf } from './attempts.ts';

const rowHeight = 24;
const headHeight = 20;
const mostRows = 80;

/** When steps and their attempts ran, beside each other. */
export function Gantt({
  attempts,
  from,
  to,
  chosen,
  onChoose,
}: {
  readonly attempts: readonly Attempt[];
  readonly from: number;
  /** Missing while it goes on: then it grows with the time. */
  readonly to: number | undefined;
  readonly chosen: string;
  readonly onChoose: (attempt: Attempt) => void;
}): JSX.Element {
  const now = useNow(to === undefined);
  const end = Math.max(to ?? now, from + 1);
  const lines = linesOf(attempts);
  const shown = lines.slice(0, mostRows);
  const percent = (at: number): number =>
    Math.min(100, Math.max(0, (100 * (at - from)) / (end - from)));
  const ticks = ticksOf(end - from);
  const height = headHeight + shown.length * rowHeight;
  return (
    <figure class="gantt">
      <div class="bars">
        <ul>
          {shown.map(([label, [first]]) => (
            <li key={label}>
              <button
                type="button"
                class="plain"
                aria-pressed={first?.step === chosen}
                title={label}
                onClick={() => first !== undefined && onChoose(first)}
              >
                {label}
              </button>
            </li>
          ))}
        </ul>
        <svg height={height} width="100%" role="img" aria-label="When steps ran; see the table">
          {ticks.map((ms) => (
            <g key={ms}>
              <line
                x1={`${percent(from + ms)}%`}
                x2={`${percent(from + ms)}%`}
                y1={headHeight}
                y2={height}
              />
              <text x={`${percent(from + ms)}%`} y={headHeight - 7} dx="3">
                {showDuration(ms)}
              </text>
            </g>
          ))}
          {shown.map(([label, all], row) =>
            all.map((each, i) => (
              <Bar
                key={`${label} ${each.attempt}`}
                of={each}
                isLast={i === all.length - 1}
                y={headHeight + row * rowHeight}
                percent={percent}
                end={end}
                onChoose={onChoose}
              />
            )),
          )}
        </svg>
      </div>
      {lines.length > mostRows && (
        <p class="faint">
          The first {mostRows} of {lines.length} are drawn; all are in the table.
        </p>
      )}
      <details>
        <summary>Table</summary>
        <AttemptTable attempts={attempts} now={now} />
      </details>
    </figure>
  );
}

function Bar({
  of,
  isLast,
  y,
  percent,
  end,
  onChoose,
}: {
  readonly of: Attempt;
  /** The last of its line, of which there is room to say more. */
  readonly isLast: boolean;
  readonly y: number;
  readonly percent: (at: number) => number;
  readonly end: number;
  readonly onChoose: (attempt: Attempt) => void;
}): JSX.Element {
  const { startedAt, endedAt = end, how } = of;
  const [left, right] = [percent(startedAt), percent(endedAt)];
  const { tone, mark } = markOf(tellingOf(how));
  const took = showDuration(endedAt - startedAt);
  // Beside the bar where there is room: behind it, before it, else upon it.
  const isBehind = right <= 85;
  const isBefore = !isBehind && left > 15;
  return (
    <g class={`bar ${tone}`} onClick={() => onChoose(of)}>
      <title>
        {`${labelOf(of)}, attempt ${of.attempt}: ${wordFor(how)}, ${took}${of.why === undefined ? '' : ` – ${of.why}`}`}
      </title>
      <rect
        x={`${left}%`}
        y={y + 4}
        width={`${Math.max(right - left, 0)}%`}
        height={rowHeight - 8}
        rx="3"
      />
      <rect class="least" x={`${left}%`} y={y + 4} width="3" height={rowHeight - 8} rx="1" />
      <text
        class={isBehind || isBefore ? undefined : 'inside'}
        x={`${isBehind ? right : left}%`}
        y={y + 16}
        dx={isBefore ? -5 : 6}
        text-anchor={isBefore ? 'end' : 'start'}
      >
        {mark}
        {isLast && (
          <tspan class="more">{` ${took}${of.attempt > 1 ? ` (attempt ${of.attempt})` : ''}`}</tspan>
        )}
      </text>
    </g>
  );
}

function AttemptTable({
  attempts,
  now,
}: {
  readonly attempts: readonly Attempt[];
  readonly now: number;
}): JSX.Element {
  return (
    <Scroll class="attempts">
      <table>
        <thead>
          <tr>
            <th>Step</th>
            <th class="number">Attempt</th>
            <th>How</th>
            <th>Began</th>
            <th class="number">Took</th>
            <th>Why</th>
          </tr>
        </thead>
        <tbody>
          {attempts.map((each) => (
            <tr key={`${labelOf(each)} ${each.attempt}`}>
              <td>{labelOf(each)}</td>
              <td class="number">{each.attempt}</td>
              <td>
                <Status of={each.how} tone={markOf(tellingOf(each.how)).tone} />
              </td>
              <td>{showExactly(each.startedAt)}</td>
              <td class="number">{showDuration((each.endedAt ?? now) - each.startedAt)}</td>
              <td class="wrap">{each.why ?? ''}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

/** The time, once a second while somebody wants it. */
export function useNow(isWanted: boolean): number {
  const now = useSignal(Date.now());
  useEffect(() => {
    if (!isWanted) return;
    now.value = Date.now();
    const timer = setInterval(() => {
      now.value = Date.now();
    }, 1_000);
    return () => clearInterval(timer);
  }, [isWanted]);
  return now.value;
}

/** One line for each step and item, with its attempts, in the order in which they began. */
function linesOf(attempts: readonly Attempt[]): readonly (readonly [string, readonly Attempt[]])[] {
  const lines = new Map<string, Attempt[]>();
  for (const each of attempts) {
    const label = labelOf(each);
    lines.set(label, [...(lines.get(label) ?? []), each]);
  }
  return [...lines];
}

/** The status whose mark an attempt has. */
function tellingOf(how: string): string {
  if (how === 'CACHED') return 'COMPLETED';
  return how === 'RETRIED' ? 'WARNING' : how;
}

function wordFor(how: string): string {
  return how === 'CACHED' ? 'taken from the cache' : how.toLowerCase();
}

/** Round times of which some four to eight fit. */
function ticksOf(spanMs: number): readonly number[] {
  const steps = [
    ...[1, 2, 5, 10, 20, 50, 100, 200, 500].map((ms) => ms),
    ...[1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800].map((s) => s * 1000),
    ...[1, 2, 4, 6, 12, 24, 48, 168].map((h) => h * 3_600_000),
  ];
  const step = steps.find((each) => spanMs / each <= 6) ?? spanMs / 6;
  return Array.from({ length: Math.floor(spanMs / step) + 1 }, (_, i) => i * step).filter(
    (ms) => ms <= spanMs * 0.97,
  );
}
