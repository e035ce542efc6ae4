import type { Services } from '@keelson/core';
import type { ServerAnswer, ServerRequest } from '../http/exchange.ts';

/** Answers what MLflow's clients ask; undefined for paths that are not MLflow's. Never rejects. */
export type Mlflow = (request: ServerRequest) => Promise<ServerAnswer | undefined>;

/** MLflow's REST protocol over the services of whoever calls. */
export function createMlflow(_servicesFor: (request: ServerRequest) => Promise<Services>): Mlflow {
  return () => Promise.resolve(undefined);
}
