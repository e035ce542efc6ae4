import type { StoredRecord } from '../contracts/record.ts';
import type { ScalingConfig, ServingConfig } from '../contracts/serving-config.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { KeelsonError } from '../errors.ts';

/** An endpoint under a name, whatever version answers it. */
export interface Deployment {
  readonly id: string;
  readonly name: string;
  readonly model: string;
  readonly environment: 'DEVELOPMENT' | 'STAGING' | 'PRODUCTION';
  readonly status: 'CREATING' | 'HEALTHY' | 'DEGRADED' | 'FAILED' | 'TERMINATING' | 'STOPPED';
  readonly activeRolloutId?: string;
  /** How its versions are run; what is left out is as the serving process has it. */
  readonly serving: ServingConfig;
  /** A fixed number of replicas where it is undefined. */
  readonly scaling?: ScalingConfig;
  readonly createdAt: number;
  readonly revision: number;
}

/** A deployment out of its record. */
export function deploymentFromRecord(record: StoredRecord): Deployment {
  const c = record.columns;
  const active = c['activeRolloutId'] as string | undefined;
  const { serving = {}, scaling } = record.body as unknown as Partial<
    Pick<Deployment, 'serving' | 'scaling'>
  >;
  return {
    id: record.id,
    name: c['name'] as string,
    model: c['modelName'] as string,
    environment: c['environment'] as Deployment['environment'],
    status: c['status'] as Deployment['status'],
    createdAt: record.createdAt,
    revision: record.revision,
    serving,
    ...(scaling === undefined ? {} : { scaling }),
    ...(active === undefined ? {} : { activeRolloutId: active }),
  };
}

/** A version as people call it: `fraud@1.2.0`. */
export function nameOf(version: { readonly model: string; readonly version: string }): string {
  return `${version.model}@${version.version}`;
}

/** The version with the most weight: what a rollout is compared with and falls back to. */
export function mainTarget(route: Route): string {
  const [main] = [...route.targets].sort((a, b) => b.weightPercent - a.weightPercent);
  if (main === undefined) throw new KeelsonError('INTERNAL', 'A route has no target.');
  return main.versionId;
}

/** Version id → weight. */
export function weights(route: Route): Readonly<Record<string, number>> {
  return Object.fromEntries(
    route.targets.map((target) => [target.versionId, target.weightPercent]),
  );
}
