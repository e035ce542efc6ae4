import type { Platform } from '@keelson/core';
import { openServing, type Serving } from '@keelson/serve';
import { type Forest, trainForest } from './forest.ts';
import { modelFiles, weatherSignature } from './model-package.ts';
import { classes, type Day, featureNames, featuresOf, labelOf } from './weather-data.ts';

/** A time that is set by hand: hours pass as fast as the computer goes. */
export class StoryClock {
  #now = Date.parse('2016-01-01T00:00:00Z');

  now(): number {
    return this.#now;
  }

  pass(ms: number): void {
    this.#now += ms;
  }
}

/** Registers a forest that was trained on days, as `seen` gives them to it; answers the version's id. */
export async function registerForest(
  platform: Platform,
  model: string,
  days: readonly Day[],
  how: { readonly trees: number; readonly seen?: (features: number[]) => number[] },
): Promise<string> {
  const { trees, seen = (features) => features } = how;
  const rows = days.map((day) => seen(featuresOf(day)));
  const options = { trees, minNumSamples: 5, maxFeatures: 3, seed: 7 };
  const forest: Forest = trainForest(rows, days.map(labelOf), classes, featureNames, options);
  const { id } = await platform.registry.register({
    ...{ model, format: 'JS', from: { files: modelFiles(forest) } },
    signature: weatherSignature(featureNames, classes),
  });
  return id;
}

/** Requests to a deployment that is served in this process, and what the weather was after all. */
export class WeatherTraffic {
  readonly #platform: Platform;
  readonly #name: string;
  readonly #clock: StoryClock;
  readonly #serving: Serving;
  #asked = 0;

  private constructor(platform: Platform, name: string, clock: StoryClock, serving: Serving) {
    this.#platform = platform;
    this.#name = name;
    this.#clock = clock;
    this.#serving = serving;
  }

  static async open(platform: Platform, name: string, clock: StoryClock): Promise<WeatherTraffic> {
    const serving = await openServing(platform, { deployments: [name] });
    return new WeatherTraffic(platform, name, clock, serving);
  }

  /** Asks about days, evenly over a time, then tells the labels; `user` says who asks. */
  async ask(days: readonly Day[], ms: number, user?: (request: number) => string): Promise<void> {
    // A route that was just changed is in force from the first request on.
    await this.#serving.refresh();
    const labels: { requestId: string; value: string; observedAt: number }[] = [];
    for (const day of days) {
      this.#clock.pass(ms / days.length);
      this.#asked += 1;
      const id = `request-${this.#asked}`;
      const headers = user === undefined ? {} : { 'x-user': user(this.#asked) };
      await this.#askOne(id, day, headers);
      labels.push({ requestId: id, value: day.weather, observedAt: this.#clock.now() });
    }
    const { id } = await this.#platform.deployments.get(this.#name);
    await this.#platform.monitoring.logLabels(id, labels);
  }

  async #askOne(id: string, day: Day, headers: Readonly<Record<string, string>>): Promise<void> {
    const shape = [1, featureNames.length];
    const features = { name: 'features', datatype: 'FP64', shape, data: featuresOf(day) };
    const response = await this.#serving.fetch(
      new Request(`http://localhost/v2/models/${this.#name}/infer`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body: JSON.stringify({ id, parameters: { at: this.#clock.now() }, inputs: [features] }),
      }),
    );
    if (!response.ok) throw new Error(`${id}: ${response.status} ${await response.text()}`);
    await response.arrayBuffer();
  }

  async close(): Promise<void> {
    await this.#serving.close();
  }
}

/** So many days, drawn by chance, the same each time. */
export function drawDays(days: readonly Day[], count: number, random: () => number): Day[] {
  return Array.from({ length: count }, () => days[Math.floor(random() * days.length)] as Day);
}
