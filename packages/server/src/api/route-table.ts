import { artifactRows } from './rows/artifact-rows.ts';
import { comparisonRows } from './rows/comparison-rows.ts';
import { experimentRows } from './rows/experiment-rows.ts';
import { runDataRows } from './rows/run-data-rows.ts';
import { runRows } from './rows/run-rows.ts';
import { systemRows } from './rows/system-rows.ts';

/** Everything that the control plane can be asked, by resource and verb. */
export interface ControlPlane {
  readonly experiments: typeof experimentRows;
  readonly runs: typeof runRows & typeof runDataRows;
  readonly artifacts: typeof artifactRows;
  readonly compare: typeof comparisonRows;
  readonly system: typeof systemRows;
}

/** The table that routing, checks, description, client and tests are made of. */
export const routeTable: ControlPlane = {
  experiments: experimentRows,
  runs: { ...runRows, ...runDataRows },
  artifacts: artifactRows,
  compare: comparisonRows,
  system: systemRows,
};
