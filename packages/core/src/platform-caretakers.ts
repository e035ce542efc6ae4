import type { Caretaker } from './contracts/caretaker.ts';
import type { Loop } from './contracts/loop.ts';
import type { Scope } from './contracts/scope.ts';
import { deploymentsCaretaker } from './deployments/deployments-caretaker.ts';
import { archiveContents, archiveReferences } from './events/event-archives.ts';
import type { RetentionTimes } from './events/retention.ts';
import type { Monitoring } from './monitoring/monitoring.ts';
import { monitoringCaretaker } from './monitoring/monitoring-caretaker.ts';
import { retentionCheck } from './operations/health/retention-check.ts';
import { healthWorkspace } from './operations/health/store-checks.ts';
import { subscriptionCare } from './operations/health/subscription-care.ts';
import { notifierCheck } from './operations/notifiers/notifier-check.ts';
import type { WorkspaceQuotas } from './operations/quota-keeper.ts';
import { createQuotaCaretaker } from './operations/quotas.ts';
import { sagaCaretaker } from './operations/saga-caretaker.ts';
import { pipelinesCaretaker } from './pipelines/pipelines-caretaker.ts';
import type { PlatformOptions } from './platform-options.ts';
import { registryCaretaker } from './registry/registry-caretaker.ts';
import type { RegistryParts } from './registry/registry-parts.ts';
import { trackingCaretaker } from './tracking/tracking-caretaker.ts';
import type { RunCare } from './tracking/tracking-checks.ts';

/** What the caretakers of a workspace are made of. */
export interface CaretakerParts {
  readonly options: PlatformOptions;
  readonly quotas: WorkspaceQuotas;
  readonly runCare: RunCare;
  readonly times: RetentionTimes;
  readonly evaluate: Monitoring['evaluate'];
  /** How predictions age, and what is kept of them as files. */
  readonly predictions: Pick<Caretaker, 'purge' | 'references' | 'contents'>;
  /** The names of the notifiers that were handed over. */
  readonly notifiers: readonly string[];
  readonly registry: Pick<RegistryParts, 'uses'>;
  readonly loops: {
    readonly pipelines: readonly Loop[];
    readonly deployments: readonly Loop[];
    readonly sagas: readonly Loop[];
    subscriptions(): readonly Loop[];
  };
}

/** What every room and every backend hands to operations: the checks, recoveries and retention of a workspace. */
export function platformCaretakers(scope: Scope, parts: CaretakerParts): readonly Caretaker[] {
  const { options, quotas, runCare, times, notifiers, loops } = parts;
  return [
    createQuotaCaretaker(scope, quotas),
    ...backendCaretakers(options),
    ...(options.caretakers ?? []),
    trackingCaretaker(scope, runCare),
    {
      ...subscriptionCare(scope, loops.subscriptions),
      references: archiveReferences(scope),
      contents: archiveContents,
    },
    registryCaretaker(scope, healthWorkspace, parts.registry),
    pipelinesCaretaker(scope, loops.pipelines),
    deploymentsCaretaker(scope, loops.deployments),
    { ...monitoringCaretaker(scope, parts.evaluate), ...parts.predictions },
    sagaCaretaker(scope, loops.sagas),
    { component: 'events', checks: [retentionCheck(scope, times)] },
    { component: 'notifiers', checks: [notifierCheck(scope, notifiers)] },
  ];
}

/** What the backends bring for their care; one that is several brings it once. */
function backendCaretakers(options: PlatformOptions): readonly Caretaker[] {
  const { metadata, series, artifacts } = options;
  const all = new Set([metadata, series, artifacts]);
  return [...all].flatMap((backend) => backend?.caretaker?.() ?? []);
}
