import type { Clock } from '@keelson/core';
import { bytesText, durationText } from './formats.ts';
import type { Terminal } from './terminal.ts';
import { clean, shorten } from './text-width.ts';

/** What is counted. */
export interface ProgressOptions {
  /** What is done when it is done; without it a count is shown and no bar. */
  readonly total?: number;
  /** `bytes` are shown as such; else the plural of what is counted, such as `runs`. */
  readonly unit?: string;
}

/** How far something is. Nothing of it is part of the result: it goes to stderr. */
export interface Progress {
  /** So much is done, of so much if that is known only now; `note` says what is under way. */
  update(done: number, more?: { readonly total?: number; readonly note?: string }): void;
  /** It is over; `text` stays, the line goes. Without it nothing stays. Twice is fine. */
  end(text?: string): void;
}

const redrawMs = 100;
const plainMs = 10_000;

/** Whether the line redraws, how often plain lines come, and where to. */
export interface ProgressRoom {
  readonly terminal: Terminal;
  readonly clock: Clock;
  readonly quiet: boolean;
}

/**
 * Shows progress: on a terminal a line that redraws ten times a second at most; elsewhere (also with `CI` set) a plain
 * line every ten seconds. `--quiet` shows none.
 */
export function createProgress(
  { terminal, clock, quiet }: ProgressRoom,
  label: string,
  options: ProgressOptions = {},
): Progress {
  const startedAt = clock.now();
  let { total } = options;
  let shownAt = terminal.redraws ? Number.NEGATIVE_INFINITY : startedAt;
  let ended = quiet;
  const amount = (value: number): string =>
    options.unit === 'bytes' ? bytesText(value) : value.toLocaleString('en-US');

  function line(done: number, note: string): string {
    const of = total === undefined ? '' : ` of ${amount(total)}`;
    const unit = options.unit === undefined || options.unit === 'bytes' ? '' : ` ${options.unit}`;
    const share = total === undefined || total === 0 ? undefined : Math.min(1, done / total);
    const percent = share === undefined ? '' : ` (${Math.floor(share * 100)} %)`;
    const took = clock.now() - startedAt;
    const left =
      share === undefined || share < 0.05 || took < 2000
        ? ''
        : `, ${durationText((took / share) * (1 - share))} left`;
    const detail = note === '' ? '' : ` – ${clean(note)}`;
    return `${label}: ${amount(done)}${of}${unit}${percent}${left}${detail}`;
  }

  return {
    update(done, more = {}) {
      if (ended) return;
      total = more.total ?? total;
      const now = clock.now();
      if (now - shownAt < (terminal.redraws ? redrawMs : plainMs)) return;
      shownAt = now;
      const text = line(done, more.note ?? '');
      if (terminal.redraws) terminal.redraw(shorten(text, terminal.redrawnColumns - 1));
      else terminal.error(`${text}\n`);
    },
    end(text) {
      if (ended) return;
      ended = true;
      if (terminal.redraws) terminal.redraw('');
      if (text !== undefined) terminal.error(`${text}\n`);
    },
  };
}
