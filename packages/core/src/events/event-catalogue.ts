import { type AccessEventPayloads, accessEvents } from './catalogue/access-events.ts';
import { type AlertEventPayloads, alertEvents } from './catalogue/alert-events.ts';
import type { EventDefinition } from './catalogue/define-event.ts';
import { type DeploymentEventPayloads, deploymentEvents } from './catalogue/deployment-events.ts';
import { type MonitoringEventPayloads, monitoringEvents } from './catalogue/monitoring-events.ts';
import { type OperationsEventPayloads, operationsEvents } from './catalogue/operations-events.ts';
import { type PipelineEventPayloads, pipelineEvents } from './catalogue/pipeline-events.ts';
import { type RegistryEventPayloads, registryEvents } from './catalogue/registry-events.ts';
import { type ResponseEventPayloads, responseEvents } from './catalogue/response-events.ts';
import { type TrackingEventPayloads, trackingEvents } from './catalogue/tracking-events.ts';

/** Every type of event that Keelson knows, with what it carries. `docs/events.md` is made of it. */
export interface EventPayloads
  extends TrackingEventPayloads,
    RegistryEventPayloads,
    PipelineEventPayloads,
    DeploymentEventPayloads,
    MonitoringEventPayloads,
    AlertEventPayloads,
    ResponseEventPayloads,
    OperationsEventPayloads,
    AccessEventPayloads {}

/** A type of event that Keelson knows. */
export type EventType = keyof EventPayloads;

/** Names of the design that stand for a type in filters and subscriptions. */
export interface EventAliases {
  readonly 'experiment.completed': 'run.completed';
  readonly 'pipeline.step.failed': 'step.failed';
  readonly 'pipeline.resource.exhausted': 'resource.exhausted';
  readonly 'model.deployed': 'deployment.started';
  readonly 'deployment.rollback': 'deployment.rolled_back';
  readonly 'monitoring.drift_detected': 'drift.detected';
}

/** The definition of each type. */
export const eventCatalogue: {
  readonly [T in EventType]: EventDefinition<EventPayloads[T]>;
} = {
  ...trackingEvents,
  ...registryEvents,
  ...pipelineEvents,
  ...deploymentEvents,
  ...monitoringEvents,
  ...alertEvents,
  ...responseEvents,
  ...operationsEvents,
  ...accessEvents,
};

/** All names of built-in types. */
export const eventTypes: readonly EventType[] = Object.keys(eventCatalogue) as EventType[];

const aliases: ReadonlyMap<string, EventType> = new Map(
  eventTypes.flatMap((type) => {
    const { alias } = eventCatalogue[type];
    return alias === undefined ? [] : [[alias, type] as const];
  }),
);

/** The definition of a built-in type; of none for a name that is no such type. */
export function findDefinition(type: string): EventDefinition | undefined {
  return Object.hasOwn(eventCatalogue, type) ? eventCatalogue[type as EventType] : undefined;
}

/** The type that a name stands for: aliases are resolved, other names are what they are. */
export function resolveType(name: string): string {
  return aliases.get(name) ?? name;
}
