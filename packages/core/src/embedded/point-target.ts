import type { PointTarget, PointTargetDescription } from '../contracts/point-target.ts';
import type { Json } from '../json.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import { beatRuns, endRuns } from './sqlite-heartbeats.ts';
import { SqliteSeriesStore } from './sqlite-series-store.ts';

/** Opens what is described. */
export async function openPointTarget(description: PointTargetDescription): Promise<PointTarget> {
  if (description.kind === 'module') {
    const module = (await import(description.module)) as {
      openPointTarget(options: Json): Promise<PointTarget>;
    };
    return await module.openPointTarget(description.options);
  }
  const { path, mustExist = false } = description;
  const database = await SqliteDatabase.open(path, { mustExist });
  try {
    const store = await SqliteSeriesStore.open({ database });
    return {
      store,
      beat: (runs, at) => beatRuns(database, runs, at),
      endBeats: (runs) => endRuns(database, runs),
      close: () => database.close(),
    };
  } catch (error) {
    await database.close();
    throw error;
  }
}
