import type { KnownRow, Platform } from '@keelson/core';
import { openServing, type Serving } from '@keelson/serve';
import { type Flights, featureNames, featuresOf, firstFrom, labelOf } from './flights.ts';

/** One flight in so many is asked about. */
const sampledEvery = 100;
const asksAtOnce = 16;

/** Asks a deployment about flights before they depart, and tells it of each how late it was. */
export class FlightTraffic {
  readonly #platform: Platform;
  readonly #deployment: { readonly id: string; readonly name: string };
  readonly #flights: Flights;
  readonly #serving: Serving;
  /** Of the time since it was last asked for. */
  #asked = { requests: 0, late: 0, right: 0 };

  private constructor(
    platform: Platform,
    deployment: { readonly id: string; readonly name: string },
    flights: Flights,
    serving: Serving,
  ) {
    this.#platform = platform;
    this.#deployment = deployment;
    this.#flights = flights;
    this.#serving = serving;
  }

  static async open(
    platform: Platform,
    deployment: { readonly id: string; readonly name: string },
    flights: Flights,
  ): Promise<FlightTraffic> {
    const serving = await openServing(platform, { deployments: [deployment.name] });
    return new FlightTraffic(platform, deployment, flights, serving);
  }

  /** The flights that depart from `from` on and before `to`, and then their labels. */
  async ask(from: number, to: number): Promise<void> {
    // A route that was just changed is in force from the first request on.
    await this.#serving.refresh();
    const due: number[] = [];
    const [first, end] = [firstFrom(this.#flights, from), firstFrom(this.#flights, to)];
    for (let i = first; i < end; i += sampledEvery) due.push(i);
    const labels = due.map((i) => ({
      ...{ requestId: `flight-${i}`, value: labelOf(this.#flights, i), observedAt: to - 1 },
    }));
    while (due.length > 0) {
      await Promise.all(due.splice(0, asksAtOnce).map((flight) => this.#askOne(flight)));
    }
    await this.#platform.monitoring.logLabels(this.#deployment.id, labels);
  }

  /** What was asked since the last time, and how it went. */
  tally(): { readonly requests: number; readonly late: number; readonly right: number } {
    const asked = this.#asked;
    this.#asked = { requests: 0, late: 0, right: 0 };
    return asked;
  }

  async #askOne(flight: number): Promise<void> {
    const data = featuresOf(this.#flights, flight);
    const features = { name: 'features', datatype: 'FP64', shape: [1, featureNames.length], data };
    const id = `flight-${flight}`;
    const at = this.#flights.at[flight];
    const response = await this.#serving.fetch(
      new Request(`http://localhost/v2/models/${this.#deployment.name}/infer`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ id, parameters: { at }, inputs: [features] }),
      }),
    );
    if (!response.ok) throw new Error(`${id}: ${response.status} ${await response.text()}`);
    const { outputs } = (await response.json()) as { outputs: { name: string; data: string[] }[] };
    const said = outputs.find(({ name }) => name === 'label')?.data[0];
    const truth = labelOf(this.#flights, flight);
    this.#asked.requests += 1;
    this.#asked.late += truth === 'late' ? 1 : 0;
    this.#asked.right += said === truth ? 1 : 0;
  }

  /** Flights of a time with what was the case, as a monitor's reference. */
  static known(
    flights: Flights,
    from: number,
    to: number,
    predict: (features: readonly [number, number, number]) => string,
  ): readonly KnownRow[] {
    const rows: KnownRow[] = [];
    for (let i = firstFrom(flights, from); i < firstFrom(flights, to); i += sampledEvery) {
      const values = featuresOf(flights, i);
      const features = Object.fromEntries(featureNames.map((name, j) => [name, values[j] ?? 0]));
      rows.push({ features, label: labelOf(flights, i), prediction: predict(values) });
    }
    return rows;
  }

  async close(): Promise<void> {
    await this.#serving.close();
  }
}
