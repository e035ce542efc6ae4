import { closedLoop } from './closed-loop.ts';
import { containerKills, containerSupervisors } from './container-kills.ts';
import { crashScenarios } from './crash-scenarios.ts';
import { engineMutants } from './engine-mutants.ts';
import { killScenarios } from './kill-scenarios.ts';
import { monitoringKills } from './monitoring-kills.ts';
import { outageScenarios } from './outage-scenarios.ts';
import { pipelineKills } from './pipeline-kills.ts';
import type { FaultScenario } from './scenario.ts';
import { servedRoutes } from './served-routes.ts';
import { serviceLevels } from './service-levels.ts';
import { servingSwaps } from './serving-swaps.ts';

/** Every scenario of the fault bed, in the order in which they are run. */
export const scenarios: readonly FaultScenario[] = [
  ...crashScenarios,
  engineMutants,
  ...killScenarios,
  pipelineKills,
  containerSupervisors,
  containerKills,
  ...outageScenarios,
  serviceLevels,
  servingSwaps,
  servedRoutes,
  monitoringKills,
  closedLoop,
];
