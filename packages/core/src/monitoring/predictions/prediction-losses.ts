import type { PredictionLoss } from '../../contracts/prediction-sink.ts';

const maxEntries = 200;

/** Counts what was lost, by deployment and stratum, in bounded memory. */
export class PredictionLosses {
  readonly #rows = new Map<string, PredictionLoss>();
  #total = 0;

  get total(): number {
    return this.#total;
  }

  add(deploymentId: string, stratum: string, rows = 1): void {
    this.#total += rows;
    let key = JSON.stringify([deploymentId, stratum]);
    let entry = this.#rows.get(key);
    if (entry === undefined && this.#rows.size >= maxEntries) {
      key = 'other';
      entry = this.#rows.get(key);
      this.#rows.set(key, {
        ...{ deploymentId: 'other', stratum: 'other' },
        rows: rows + (entry?.rows ?? 0),
      });
      return;
    }
    this.#rows.set(key, { deploymentId, stratum, rows: rows + (entry?.rows ?? 0) });
  }

  list(): readonly PredictionLoss[] {
    return [...this.#rows.values()];
  }
}
