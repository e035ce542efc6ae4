import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type {
  KeelsonError,
  ModelSignature,
  PredictionRow,
  PredictionSink,
  RefusedRequest,
  Route,
} from '@keelson/core';
import { LocalServingSource } from '../hosting/local-source.ts';
import type { ServedModel, ServedRoute } from '../serving-source.ts';

/** Rain or sun, by the sum of two columns. */
export const weatherSignature: ModelSignature = {
  inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2], columns: ['wind', 'cloud'] }],
  outputs: [
    { name: 'label', datatype: 'BYTES', shape: [-1] },
    { name: 'probabilities', datatype: 'FP64', shape: [-1, 2], columns: ['rain', 'sun'] },
  ],
};

/**
 * A model that tells by `parameters` what else it should do: `wait` (ms, asleep), `spin` (ms, never yielding), `crash`, `throw`.
 */
export const weatherModule = `
import { setTimeout as sleep } from 'node:timers/promises';
export function load() {
  const decide = (x, rowCount) => {
    const label = [], probabilities = [];
    for (let row = 0; row < rowCount; row += 1) {
      const rain = 1 / (1 + Math.exp(-(x.data[2 * row] + x.data[2 * row + 1])));
      label.push(rain > 0.5 ? 'rain' : 'sun');
      probabilities.push([rain, 1 - rain]);
    }
    return { label, probabilities };
  };
  return {
    predict({ x }, { rowCount, parameters }) {
      if (parameters.crash) process.exit(3);
      if (parameters.throw) throw new Error(String(parameters.throw));
      if (parameters.spin) for (const until = Date.now() + parameters.spin; Date.now() < until; );
      if (parameters.wait) return sleep(parameters.wait).then(() => decide(x, rowCount));
      return decide(x, rowCount);
    },
  };
}
`;

/** A sink that keeps all rows in memory. */
class RowsInMemory implements PredictionSink {
  readonly rows: PredictionRow[] = [];
  readonly refusals: RefusedRequest[] = [];
  /** Set to have nothing more answered. */
  fullness: KeelsonError | undefined;

  record(row: PredictionRow): void {
    this.rows.push(row);
  }

  refused(request: RefusedRequest): void {
    this.refusals.push(request);
  }

  async flush(): Promise<void> {
    // Nothing waits.
  }

  full(): KeelsonError | undefined {
    return this.fullness;
  }

  health(): ReturnType<PredictionSink['health']> {
    return { pending: 0, dropped: 0 };
  }
}

/** A temporary directory with model versions, and a source of them. */
export class ServingBed implements AsyncDisposable {
  readonly dir: string;
  readonly sink: RowsInMemory = new RowsInMemory();
  readonly source: LocalServingSource;
  #generation = 0;

  static async open(): Promise<ServingBed> {
    return new ServingBed(await mkdtemp(join(tmpdir(), 'keelson-serve-')));
  }

  private constructor(dir: string) {
    this.dir = dir;
    this.source = new LocalServingSource({ models: [], sink: this.sink });
  }

  /** Writes a model version and adds it to the source. */
  async addModel(
    versionId: string,
    files: Readonly<Record<string, string | Uint8Array>> = { 'model.mjs': weatherModule },
    signature: ModelSignature = weatherSignature,
    format = 'JS',
  ): Promise<ServedModel> {
    const directory = join(this.dir, versionId);
    await mkdir(directory, { recursive: true });
    for (const [name, content] of Object.entries(files))
      await writeFile(join(directory, name), content);
    const model = {
      versionId,
      name: 'weather',
      version: `1.0.${versionId}`,
      format,
      signature,
      directory,
    };
    this.source.putModel(model);
    return model;
  }

  /** Puts the next route of `deployment` in place. */
  setRoute(
    weights: Readonly<Record<string, number>>,
    more: Partial<Route> = {},
    deployment = 'weather',
    config: Pick<ServedRoute, 'serving' | 'scaling'> = {},
  ): number {
    this.#generation += 1;
    const targets = Object.entries(weights).map(([versionId, weightPercent]) => ({
      versionId,
      weightPercent,
    }));
    this.source.setRoute(deployment, {
      generation: this.#generation,
      environment: 'PRODUCTION',
      ...config,
      route: { deploymentId: `id-of-${deployment}`, targets, rules: [], shadows: [], ...more },
    });
    return this.#generation;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.dir, { recursive: true, force: true });
  }
}

/** An inference request of weather rows. */
export function weatherBody(rows: readonly (readonly number[])[], more: object = {}): string {
  const inputs = [{ name: 'x', shape: [rows.length, 2], datatype: 'FP64', data: rows }];
  return JSON.stringify({ ...more, inputs });
}

/** Resolves when `condition` holds; rejects, saying what was waited for, after 10 s. */
export async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`Waited 10 s for ${what}.`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
