import type { SeriesKey } from '../contracts/series-store.ts';
import type { PointBlock } from './point-block.ts';
import type { PointRing } from './point-ring.ts';

/**
 * What the thread tells of faults: all points dropped so far by series index, the latest error as long as it
 * lasts, and what somebody has to know of though it is over, oldest first, each once.
 */
export interface DrainReport {
  readonly dropped: readonly (readonly [index: number, points: number])[];
  readonly error: string | undefined;
  readonly notices: readonly string[];
}

/** More different ones are not told. */
const mostNotices = 100;

/** What goes wrong in a writer thread, and how much is lost by it; kept and told to the main thread. */
export class PointFaults {
  readonly #ring: PointRing;
  readonly #series: readonly SeriesKey[];
  readonly #send: (report: DrainReport) => void;
  readonly #dropped = new Map<number, number>();
  readonly #notices = new Set<string>();
  #error: string | undefined;
  #beatError: string | undefined;
  #toReport = false;
  #reports = 0;

  /** `series` grows behind this one's back. */
  constructor(ring: PointRing, series: readonly SeriesKey[], send: (report: DrainReport) => void) {
    this.#ring = ring;
    this.#series = series;
    this.#send = send;
  }

  /** Whether heartbeats fail. */
  get beatsFail(): boolean {
    return this.#beatError !== undefined;
  }

  /** An error that lasts until `recover`. */
  note(error: unknown): void {
    this.#error = messageOf(error);
    this.#show();
  }

  recover(): void {
    if (this.#error === undefined) return;
    this.#error = undefined;
    this.#show();
  }

  /**
   * How a heartbeat went: its error, or undefined. Points may well be stored while heartbeats are not: the
   * one fault does not hide the other.
   */
  beat(error: unknown): void {
    const message = error === undefined ? undefined : messageOf(error);
    if (message === this.#beatError) return;
    this.#beatError = message;
    this.#show();
    if (message === undefined) return;
    this.tell(`Heartbeats fail; runs of this process may be taken for dead meanwhile: ${message}`);
  }

  /** What somebody has to know of, also when it is over. */
  tell(notice: string): void {
    if (this.#notices.size >= mostNotices) return;
    this.#notices.add(notice);
    this.#toReport = true;
  }

  /** Counts points of a series as lost. */
  drop(index: number, points: number): void {
    this.#dropped.set(index, (this.#dropped.get(index) ?? 0) + points);
    this.#ring.drop(points);
    this.#toReport = true;
  }

  /** Counts the points of a block as lost, or those of some of its series, by their places in it. */
  dropBlock(block: PointBlock, lost?: ReadonlySet<unknown>): void {
    const indexes = new Map(this.#series.map((series, i) => [JSON.stringify(series), i]));
    const places = block.series.map((series) => indexes.get(JSON.stringify(series)) ?? 0);
    for (const place of block.seriesIndex) {
      if (lost?.has(place) !== false) this.drop(places[place] as number, 1);
    }
  }

  // One report is under way at a time: a main thread that never looks must not find a heap of them.
  report(): void {
    if (!this.#toReport || this.#ring.reportsRead !== this.#reports) return;
    this.#toReport = false;
    this.#reports = (this.#reports + 1) | 0;
    this.#send({
      dropped: [...this.#dropped],
      error: this.#error ?? this.#beatError,
      notices: [...this.#notices],
    });
  }

  #show(): void {
    this.#ring.fail((this.#error ?? this.#beatError) !== undefined);
    this.#toReport = true;
  }
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
