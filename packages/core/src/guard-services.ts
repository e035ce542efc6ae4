import type { Scope } from './contracts/scope.ts';
import type { Deployments } from './deployments/deployments.ts';
import { guardDeployments } from './deployments/deployments-access.ts';
import type { PlatformEvents } from './events/platform-events.ts';
import type { Monitoring } from './monitoring/monitoring.ts';
import { guardMonitoring } from './monitoring/monitoring-access.ts';
import { guardEvents } from './operations/events-access.ts';
import type { Operations } from './operations/operations.ts';
import { guardOperations } from './operations/operations-access.ts';
import { guardPipelines } from './pipelines/pipelines-access.ts';
import type { Pipelines } from './pipelines/pipelines-types.ts';
import type { Registry } from './registry/registry.ts';
import { guardRegistry } from './registry/registry-access.ts';
import type { Tracking } from './tracking/tracking.ts';
import { guardTracking } from './tracking/tracking-access.ts';

/** The services of a platform. */
export interface AllServices {
  readonly tracking: Tracking;
  readonly registry: Registry;
  readonly pipelines: Pipelines;
  readonly deployments: Deployments;
  readonly monitoring: Monitoring;
  readonly events: PlatformEvents;
  readonly operations: Operations;
}

/** The services, asking the scope's authorizer before every call. */
export function guardServices(scope: Scope, services: AllServices): AllServices {
  return {
    tracking: guardTracking(scope, services.tracking),
    registry: guardRegistry(scope, services.registry),
    pipelines: guardPipelines(scope, services.pipelines),
    deployments: guardDeployments(scope, services.deployments),
    monitoring: guardMonitoring(scope, services.monitoring),
    events: guardEvents(scope, services.events),
    operations: guardOperations(scope, services.operations),
  };
}
