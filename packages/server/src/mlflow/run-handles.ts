import type { ActiveRun, Services } from '@keelson/core';
import { invalid, missing } from './errors.ts';

/** The runs that this server logs to for its clients. */
export interface RunHandles {
  /** RESOURCE_DOES_NOT_EXIST for no such run; INVALID_PARAMETER_VALUE for one that is deleted. */
  get(services: Services, runId: string): Promise<ActiveRun>;
  /** What is known of the run is no longer so. */
  forget(services: Services, runId: string): void;
}

/** That others have deleted a run is seen after so long at the latest. */
const freshMs = 1_000;
const most = 10_000;

/** Handles of runs, kept for each caller's services: a client logs many times to one run. */
export function createRunHandles(): RunHandles {
  const kept = new WeakMap<
    Services,
    Map<string, { readonly run: ActiveRun; readonly at: number }>
  >();

  function of(services: Services): Map<string, { readonly run: ActiveRun; readonly at: number }> {
    const known = kept.get(services) ?? new Map();
    kept.set(services, known);
    if (known.size > most) known.clear();
    return known;
  }

  return {
    async get(services, runId) {
      const handles = of(services);
      const known = handles.get(runId);
      if (known !== undefined && performance.now() - known.at < freshMs) return known.run;
      const { tracking } = services;
      const found = await tracking.findRun(runId);
      if (found === undefined) throw noRun(runId);
      if (found.lifecycle === 'deleted') throw notActive(runId);
      const run = await tracking.startRun({
        ...{ id: runId, experiment: found.experimentId },
        ...{ systemMetrics: false, environment: false },
      });
      handles.set(runId, { run, at: performance.now() });
      return run;
    },
    forget(services, runId) {
      of(services).delete(runId);
    },
  };
}

/** There is no such run. */
export function noRun(runId: string): Error {
  return missing(`Run with id=${runId} not found`);
}

/** The run is deleted. */
export function notActive(runId: string): Error {
  return invalid(`The run ${runId} must be in the 'active' state. Current state is deleted.`);
}
