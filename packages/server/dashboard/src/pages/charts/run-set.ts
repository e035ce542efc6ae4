import type { Run } from '@keelson/core';
import { api } from '../../api/client.ts';
import { type Resource, useResource } from '../../api/resource.ts';
import { view, viewList } from '../../routing/address.ts';

/** The most runs that charts and comparisons draw. */
const mostRuns = 1_000;

/** The runs of the address: those that are named, or those of an experiment and filter. */
export function useRunSet(): Resource<readonly Run[]> {
  const ids = viewList('runs');
  const experiment = viewList('experiment');
  const filter = view('filter');
  return useResource<readonly Run[]>(
    JSON.stringify([ids, experiment, filter]),
    async (signal) => {
      if (ids.length > 0)
        return Promise.all(ids.slice(0, 100).map((runId) => api.runs.get({ runId }, { signal })));
      const body = {
        limit: mostRuns,
        ...(experiment.length === 0 ? {} : { experiment: [...experiment] }),
        ...(filter === '' ? {} : { filter }),
      };
      return (await api.runs.search({ body }, { signal })).runs;
    },
    { on: ['run.'] },
  );
}
