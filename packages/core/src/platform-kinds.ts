import { alertingKinds } from './contracts/kinds/alerting-kinds.ts';
import { auditKinds } from './contracts/kinds/audit-kinds.ts';
import { deploymentsKinds } from './contracts/kinds/deployments-kinds.ts';
import { eventArchiveKinds } from './contracts/kinds/event-archive-kinds.ts';
import { eventKinds } from './contracts/kinds/event-kinds.ts';
import { freezeKinds } from './contracts/kinds/freeze-kinds.ts';
import { healthKinds } from './contracts/kinds/health-kinds.ts';
import { incidentKinds } from './contracts/kinds/incident-kinds.ts';
import { monitoringKinds } from './contracts/kinds/monitoring-kinds.ts';
import { notificationKinds } from './contracts/kinds/notification-kinds.ts';
import { operationsKinds } from './contracts/kinds/operations-kinds.ts';
import { pipelinesKinds } from './contracts/kinds/pipelines-kinds.ts';
import { predictionKinds } from './contracts/kinds/prediction-kinds.ts';
import { registryKinds } from './contracts/kinds/registry-kinds.ts';
import { responseKinds } from './contracts/kinds/response-kinds.ts';
import { sagaKinds } from './contracts/kinds/saga-kinds.ts';
import { trackingKinds } from './contracts/kinds/tracking-kinds.ts';
import type { KindDeclaration } from './contracts/record.ts';

/** The kinds of record that the services keep. */
export const platformKinds: readonly KindDeclaration[] = [
  ...eventKinds,
  ...eventArchiveKinds,
  ...trackingKinds,
  ...registryKinds,
  ...pipelinesKinds,
  ...deploymentsKinds,
  ...monitoringKinds,
  ...predictionKinds,
  ...responseKinds,
  ...alertingKinds,
  ...operationsKinds,
  ...freezeKinds,
  ...notificationKinds,
  ...sagaKinds,
  ...healthKinds,
  ...auditKinds,
  ...incidentKinds,
];
