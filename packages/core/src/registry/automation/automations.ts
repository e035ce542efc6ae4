import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError } from '../../errors.ts';
import { assertText } from '../../json.ts';
import {
  assertAllowed,
  commitChanges,
  decideAndCommit,
} from '../../operations/decide-and-commit.ts';
import { everyRecord } from '../../operations/every-record.ts';
import type { Tracking } from '../../tracking/tracking.ts';
import { is } from '../model-records.ts';
import { assertModelName } from '../models.ts';
import {
  type Automation,
  type AutomationOutcome,
  assertAutomation,
  automationBody,
  automationFromRecord,
  type NewAutomation,
  noAutomation,
  outcomeFromRecord,
} from './automation.ts';

/** Automations: runs that meet their criteria become versions by themselves. */
export interface Automations {
  /**
   * Makes an automation, or changes the criteria and what is done of the one with the name (its experiment and
   * model stay: CONFLICT otherwise). It works in processes that called `platform.start()`, on runs that end from
   * now on. Each run is taken once, however often its end is told.
   */
  setAutomation(automation: NewAutomation): Promise<Automation>;
  /** By name. */
  listAutomations(): Promise<readonly Automation[]>;
  /** Runs that end meanwhile are left alone, which is noted; runs that were taken go on. */
  pauseAutomation(name: string): Promise<Automation>;
  resumeAutomation(name: string): Promise<Automation>;
  removeAutomation(name: string): Promise<void>;
  /** What an automation made of the last runs, the newest first: at most 1,000. */
  automationOutcomes(name: string): Promise<readonly AutomationOutcome[]>;
}

/** Automations, bound to a scope. */
export function createAutomations(scope: Scope, tracking: Tracking): Automations {
  const { metadata, workspace, principal } = scope;

  async function find(name: string): Promise<Automation | undefined> {
    assertText(name, 'The name of an automation');
    const { records } = await metadata.query(workspace, 'automation', {
      ...{ where: is('name', name), limit: 1 },
    });
    return records[0] && automationFromRecord(records[0]);
  }

  async function get(name: string): Promise<Automation> {
    const found = await find(name);
    if (found === undefined) throw noAutomation(name);
    return found;
  }

  async function setPaused(name: string, paused: boolean): Promise<Automation> {
    const { model } = await get(name);
    await assertAllowed(scope, 'model.policy', `model:${model}`);
    await decideAndCommit(scope, async () => {
      const { id, revision: expect } = await get(name);
      const columns = { paused };
      return {
        changes: [{ op: 'replace', kind: 'automation', id, expect, columns }],
        result: undefined,
      };
    });
    return await get(name);
  }

  async function write(given: NewAutomation, experimentId: string): Promise<void> {
    const found = await find(given.name);
    const body = automationBody(given);
    if (found === undefined) {
      const { name, model: modelName } = given;
      const columns = { name, modelName, experimentId, paused: false, createdBy: principal.id };
      const id = scope.ids.next();
      await commitChanges(scope, [{ op: 'create', kind: 'automation', id, columns, body }]);
      return;
    }
    // Another experiment or model is refused by the store: these never change.
    await decideAndCommit(scope, async () => {
      const { id, revision: expect } = await get(given.name);
      const columns = { experimentId, modelName: given.model };
      return {
        changes: [{ op: 'replace', kind: 'automation', id, expect, columns, body }],
        result: undefined,
      };
    });
  }

  return {
    async setAutomation(given) {
      assertAutomation(given);
      assertModelName(given.model);
      await assertAllowed(scope, 'model.policy', `model:${given.model}`);
      const { id } = await tracking.getExperiment(given.experiment);
      try {
        await write(given, id);
      } catch (error) {
        // Another process made it first.
        if (!isKeelsonError(error, 'CONFLICT')) throw error;
        await write(given, id);
      }
      return await get(given.name);
    },

    async listAutomations() {
      const orderBy = [{ by: { from: 'column', name: 'name' }, direction: 'asc' }] as const;
      const all = everyRecord(scope, 'automation', { orderBy });
      return (await Array.fromAsync(all)).map(automationFromRecord);
    },

    pauseAutomation: (name) => setPaused(name, true),
    resumeAutomation: (name) => setPaused(name, false),

    async removeAutomation(name) {
      const { model } = await get(name);
      await assertAllowed(scope, 'model.policy', `model:${model}`);
      await decideAndCommit(scope, async () => {
        const { id, revision: expect } = await get(name);
        return { changes: [{ op: 'remove', kind: 'automation', id, expect }], result: undefined };
      });
    },

    async automationOutcomes(name) {
      const { id } = await get(name);
      const { records } = await metadata.query(workspace, 'automation_outcome', {
        where: is('automationId', id),
        orderBy: [{ by: { from: 'column', name: 'createdAt' }, direction: 'desc' }],
        limit: 1000,
      });
      return records.map(outcomeFromRecord);
    },
  };
}
