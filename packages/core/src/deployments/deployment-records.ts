import type { Change } from '../contracts/metadata-store.ts';
import type { StoredRecord } from '../contracts/record.ts';
import type { Scope } from '../contracts/scope.ts';
import type { Route } from '../contracts/traffic-router.ts';
import { KeelsonError } from '../errors.ts';
import type { DeploymentEventPayloads } from '../events/catalogue/deployment-events.ts';
import { draftEvent } from '../events/draft-event.ts';
import type { PayloadOf } from '../events/typed-event.ts';
import { asJson, assertText, type JsonObject } from '../json.ts';
import {
  bodyOf,
  type Deployment,
  type DeploymentBody,
  deploymentFromRecord,
  weights,
} from './deployment.ts';

/** What a deployment's body becomes; undefined takes a part away. */
export type BodyChange = {
  readonly [K in keyof DeploymentBody]?: DeploymentBody[K] | undefined;
};

/** Reads deployments and their routes, and makes the changes that several verbs share. */
export interface DeploymentRecords {
  find(name: string): Promise<Deployment | undefined>;
  /** NOT_FOUND by name. */
  get(name: string): Promise<Deployment>;
  getById(id: string): Promise<Deployment>;
  /** Its revision is the generation. */
  routeRecord(deploymentId: string): Promise<StoredRecord>;
  /** Of the records, with when each was last looked at. */
  read(records: readonly StoredRecord[]): Promise<readonly Deployment[]>;
  replaceDeployment(
    deployment: Deployment,
    columns: Readonly<Record<string, string | number | boolean | undefined>>,
    body?: BodyChange,
  ): Change;
  /** The route's next generation, and the event that tells of it. */
  shift(deployment: Deployment, record: StoredRecord, route: Route, reason: string): Change[];
  emit<T extends keyof DeploymentEventPayloads>(
    type: T,
    deployment: string,
    payload: Omit<PayloadOf<T>, 'deployment'>,
  ): Change;
  edge(from: string, to: string, role: string): Change;
}

/** {@link DeploymentRecords} of a scope. */
export function createDeploymentRecords(scope: Scope): DeploymentRecords {
  const { metadata, workspace } = scope;

  async function read(found: readonly StoredRecord[]): Promise<readonly Deployment[]> {
    const ids = found.map(({ id }) => id);
    const looks =
      ids.length === 0 ? [] : await metadata.findMany(workspace, 'deployment_health', ids);
    const checked = new Map(looks.map(({ id, columns }) => [id, columns['checkedAt'] as number]));
    return found.map((record) => deploymentFromRecord(record, checked.get(record.id)));
  }

  async function find(name: string): Promise<Deployment | undefined> {
    const left = { from: 'column', name: 'name' } as const;
    const where = { op: 'compare', left, cmp: '=', value: name } as const;
    const query = { where, limit: 1, facets: ['tags'] };
    return (await read((await metadata.query(workspace, 'deployment', query)).records))[0];
  }

  async function get(name: string): Promise<Deployment> {
    const deployment = await find(assertText(name, 'A deployment name'));
    if (deployment !== undefined) return deployment;
    throw new KeelsonError('NOT_FOUND', `There is no deployment ${JSON.stringify(name)}.`);
  }

  async function routeRecord(deploymentId: string): Promise<StoredRecord> {
    const record = await metadata.find(workspace, 'route', deploymentId);
    if (record !== undefined) return record;
    throw new KeelsonError('NOT_FOUND', `Deployment ${deploymentId} has no route.`);
  }

  async function getById(id: string): Promise<Deployment> {
    const record = await metadata.find(workspace, 'deployment', id, { facets: ['tags'] });
    if (record !== undefined) return deploymentFromRecord(record);
    throw new KeelsonError('NOT_FOUND', `There is no deployment ${id}.`);
  }

  function shift(
    deployment: Deployment,
    record: StoredRecord,
    route: Route,
    reason: string,
  ): Change[] {
    const body = asJson(route) as JsonObject;
    const { id, revision: expect } = record;
    const oldWeights = weights(record.body as unknown as Route);
    return [
      { op: 'replace', kind: 'route', id, expect, body },
      emit('traffic.shifted', deployment.name, { oldWeights, newWeights: weights(route), reason }),
    ];
  }

  function emit<T extends keyof DeploymentEventPayloads>(
    type: T,
    deployment: string,
    payload: Omit<PayloadOf<T>, 'deployment'>,
  ): Change {
    const event = {
      type,
      subject: `deployment:${deployment}`,
      source: 'deployments',
      payload: { deployment, ...payload } as unknown as PayloadOf<T>,
    };
    return { op: 'emit', event: draftEvent(scope, event) };
  }

  function edge(from: string, to: string, role: string): Change {
    return { op: 'create', kind: 'edge', id: scope.ids.next(), columns: { from, to, role } };
  }

  return {
    find,
    get,
    getById,
    read,
    routeRecord,
    replaceDeployment,
    shift,
    emit,
    edge,
  };
}

function replaceDeployment(
  deployment: Deployment,
  columns: Readonly<Record<string, string | number | boolean | undefined>>,
  body?: BodyChange,
): Change {
  const { id, revision: expect } = deployment;
  const replace = { op: 'replace', kind: 'deployment', id, expect, columns } as const;
  if (body === undefined) return replace;
  return {
    ...replace,
    body: asJson(bodyOf({ ...deployment, ...body } as DeploymentBody)) as JsonObject,
  };
}
