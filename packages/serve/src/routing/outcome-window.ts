import type { TargetOutcome } from '@keelson/core';
import { LatencyHistogram } from './latency-histogram.ts';

const slotMs = 5000;

/** The longest window that can be asked for: ten minutes. */
export const maxWindowMs: number = 600_000;

const slotCount = maxWindowMs / slotMs + 1;

interface Slot {
  number: number;
  requests: number;
  errors: number;
  readonly latencies: LatencyHistogram;
}

/**
 * What came of one target's requests over the last ten minutes, in a ring of slots of 5 s: a window
 * takes in the slots it touches, so it may reach up to 5 s further back than asked.
 */
export class OutcomeWindow {
  readonly versionId: string;
  readonly #slots: (Slot | undefined)[] = [];

  /** When the newest request ended. */
  lastAt: number = Number.NEGATIVE_INFINITY;

  constructor(versionId: string) {
    this.versionId = versionId;
  }

  /** Counts a request that ended at `now` (ms of any clock that never goes back). */
  record(now: number, latencyMs: number, failed: boolean): void {
    const slot = this.#slot(Math.floor(now / slotMs));
    this.lastAt = now;
    slot.requests += 1;
    if (failed) slot.errors += 1;
    slot.latencies.record(latencyMs);
  }

  outcome(now: number, windowMs: number): TargetOutcome {
    const last = Math.floor(now / slotMs);
    const first = Math.floor((now - Math.min(windowMs, maxWindowMs)) / slotMs);
    const latencies = new LatencyHistogram();
    let requests = 0;
    let errors = 0;
    for (const slot of this.#slots) {
      if (slot === undefined || slot.number < first || slot.number > last) continue;
      requests += slot.requests;
      errors += slot.errors;
      latencies.add(slot.latencies);
    }
    return {
      versionId: this.versionId,
      requests,
      errors,
      latencyMs: {
        p50: latencies.quantileMs(0.5),
        p95: latencies.quantileMs(0.95),
        p99: latencies.quantileMs(0.99),
        max: latencies.maxMs,
      },
    };
  }

  #slot(number: number): Slot {
    const place = number % slotCount;
    let slot = this.#slots[place];
    if (slot === undefined) {
      slot = { number, requests: 0, errors: 0, latencies: new LatencyHistogram() };
      this.#slots[place] = slot;
    } else if (slot.number !== number) {
      slot.number = number;
      slot.requests = 0;
      slot.errors = 0;
      slot.latencies.clear();
    }
    return slot;
  }
}
