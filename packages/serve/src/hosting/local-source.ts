import { KeelsonError, type PredictionSink } from '@keelson/core';
import {
  noSink,
  type ServedModel,
  type ServedRoute,
  type ServingSource,
} from '../serving-source.ts';

/**
 * A source without a platform: model directories on this machine, and routes that the program sets. For a model behind
 * HTTP without a registry, and for trying things out.
 */
export class LocalServingSource implements ServingSource {
  readonly sink: PredictionSink;
  readonly #models: Map<string, ServedModel>;
  readonly #routes = new Map<string, ServedRoute>();
  readonly #wakes = new Set<() => void>();

  /** Without a sink, predictions are not kept. */
  constructor(options: {
    readonly models: readonly ServedModel[];
    readonly sink?: PredictionSink;
  }) {
    this.#models = new Map(options.models.map((model) => [model.versionId, model]));
    this.sink = options.sink ?? noSink;
  }

  /** Adds or replaces a version; one that is being served is not loaded again. */
  putModel(model: ServedModel): void {
    this.#models.set(model.versionId, model);
  }

  /** Puts a route before the servers of this source; its generation must be higher than the one before. */
  setRoute(deployment: string, route: ServedRoute): void {
    this.#routes.set(deployment, route);
    for (const wake of this.#wakes) wake();
  }

  async route(deployment: string): Promise<ServedRoute> {
    const route = this.#routes.get(deployment);
    if (route === undefined) {
      throw new KeelsonError('NOT_FOUND', `There is no deployment ${JSON.stringify(deployment)}.`);
    }
    return route;
  }

  watch(_deployments: readonly string[], wake: () => void): AsyncDisposable {
    this.#wakes.add(wake);
    return {
      [Symbol.asyncDispose]: async () => {
        this.#wakes.delete(wake);
      },
    };
  }

  async model(versionId: string): Promise<ServedModel> {
    const model = this.#models.get(versionId);
    if (model === undefined)
      throw new KeelsonError('NOT_FOUND', `There is no version ${versionId}.`);
    return model;
  }
}
