import { expect } from 'vitest';
import { isKeelsonError } from '../src/errors.ts';
import type { Registry } from '../src/registry/registry.ts';
import type { StagePolicy } from '../src/registry/stage-policy.ts';
import type { RegistryWorld } from './registry-world.ts';
import {
  type ModelPerson,
  type ModelPolicy,
  type ModelStage,
  modelExpiresMs,
  StageModel,
  type Verdict,
} from './stage-model.ts';

export const people: readonly ModelPerson[] = [
  { id: 'user:ana', roles: ['lead'] },
  { id: 'user:ben', roles: [] },
  { id: 'user:ceri', roles: ['lead', 'risk'] },
];

export type Step =
  | { readonly op: 'register'; readonly good: boolean }
  | { readonly op: 'request'; readonly at: number; readonly to: ModelStage; readonly who: number }
  | { readonly op: 'decide'; readonly at: number; readonly yes: boolean; readonly who: number }
  | { readonly op: 'withdraw'; readonly at: number; readonly who: number }
  | { readonly op: 'wait' }
  | { readonly op: 'rollback' }
  | { readonly op: 'remove'; readonly at: number; readonly force: boolean }
  | { readonly op: 'restore'; readonly at: number }
  | { readonly op: 'policy'; readonly policy: ModelPolicy };

/** A story told to the registry and to the reference at the same time. */
export class StageStory {
  readonly #world: RegistryWorld;
  readonly #registry: Registry;
  readonly #name: string;
  readonly #model: StageModel;
  readonly #versions: string[] = [];
  readonly #ids: string[] = [];
  readonly #clock: { nowMs: number };
  /** How often each step came to each verdict. */
  readonly #tally: Map<string, number>;

  constructor(
    world: RegistryWorld,
    parts: {
      readonly name: string;
      readonly policy: ModelPolicy;
      readonly clock: { nowMs: number };
      readonly tally: Map<string, number>;
    },
  ) {
    this.#world = world;
    this.#registry = world.platform.registry;
    this.#name = parts.name;
    this.#model = new StageModel(parts.policy);
    this.#clock = parts.clock;
    this.#tally = parts.tally;
  }

  async begin(): Promise<void> {
    await this.#registry.createModel({ name: this.#name, policy: policyOf(this.#model.policy) });
    await this.#register(true);
  }

  async tell(next: Step): Promise<Verdict | undefined> {
    const verdict = await this.#do(next);
    const key = `${next.op} ${verdict}`;
    this.#tally.set(key, (this.#tally.get(key) ?? 0) + 1);
    await this.#compare(JSON.stringify(next));
    return verdict;
  }

  async #do(next: Step): Promise<Verdict | undefined> {
    switch (next.op) {
      case 'register':
        return await this.#register(next.good);
      case 'wait':
        this.#clock.nowMs += modelExpiresMs;
        return undefined;
      case 'policy':
        this.#model.policy = next.policy;
        await this.#registry.setPolicy(this.#name, policyOf(next.policy));
        return 'ok';
      case 'request':
        return await this.#request(next.at, next.to, people[next.who] as ModelPerson);
      case 'decide':
      case 'withdraw':
        return await this.#end(next);
      case 'rollback':
        return await this.#same(this.#model.rollback(), () =>
          this.#registry.rollback(this.#name, { reason: 'r' }),
        );
      case 'remove': {
        const { index, version } = this.#versionAt(next.at);
        const options = { reason: 'r', force: next.force };
        return await this.#same(this.#model.remove(index, next.force), () =>
          this.#registry.deleteVersion(this.#name, version, options),
        );
      }
      case 'restore': {
        const { index, version } = this.#versionAt(next.at);
        this.#model.restore(index);
        await this.#registry.restoreVersion(this.#name, version);
        return 'ok';
      }
    }
  }

  async #request(at: number, to: ModelStage, person: ModelPerson): Promise<Verdict> {
    const { index, version } = this.#versionAt(at);
    const due = this.#model.request(index, to, person, this.#clock.nowMs);
    const request = { model: this.#name, version, to, reason: 'r' };
    return await this.#same(due, async () => {
      this.#ids.push((await this.#as(person).requestTransition(request)).id);
    });
  }

  async #end(next: Extract<Step, { op: 'decide' | 'withdraw' }>): Promise<Verdict | undefined> {
    if (this.#ids.length === 0) return undefined;
    // The newest are taken most often: the old ones have mostly ended.
    const index = this.#ids.length - 1 - (next.at % this.#ids.length);
    const person = people[next.who] as ModelPerson;
    const registry = this.#as(person);
    const id = this.#ids[index] ?? '';
    if (next.op === 'withdraw') {
      return await this.#same(this.#model.withdraw(index, person), () => registry.withdraw(id));
    }
    const due = this.#model.decide(index, next.yes, person, this.#clock.nowMs);
    return await this.#same(due, () => (next.yes ? registry.approve(id) : registry.reject(id)));
  }

  #as(principal: ModelPerson): Registry {
    return this.#world.platform.as({ principal }).registry;
  }

  #versionAt(at: number): { readonly index: number; readonly version: string } {
    const index = at % this.#versions.length;
    return { index, version: this.#versions[index] ?? '' };
  }

  async #register(good: boolean): Promise<Verdict> {
    const n = this.#versions.length + 1;
    this.#model.register(good);
    const { version } = await this.#registry.register({
      ...{ model: this.#name, format: 'CUSTOM', version: `${n}.0.0` },
      from: { files: { a: Buffer.from(`${n}`) } },
      metrics: { good: good ? 1 : 0 },
    });
    this.#versions.push(version);
    return 'ok';
  }

  async #same(due: Verdict, work: () => Promise<unknown>): Promise<Verdict> {
    let found: string = 'ok';
    let said = '';
    try {
      await work();
    } catch (error) {
      if (!isKeelsonError(error)) throw error;
      found = error.code;
      said = error.message;
    }
    expect(found, said).toBe(due);
    return due;
  }

  async #compare(after: string): Promise<void> {
    const { versions, requests, production, policy } = this.#model;
    const all = await this.#registry.listVersions(this.#name);
    const found = new Map(all.map(({ version, stage }) => [version, stage]));
    const due = versions.flatMap(({ stage, deleted }, i) =>
      deleted ? [] : [[this.#versions[i], stage] as const],
    );
    expect([...found], after).toEqual(due);
    const transitions = await Promise.all(this.#ids.map((id) => this.#registry.getTransition(id)));
    const statuses = transitions.map(({ status }) => status);
    expect(statuses, after).toEqual(requests.map(({ status }) => status));
    const named = (await this.#registry.productionVersion(this.#name))?.version;
    const there = production.map((index) => this.#versions[index]);
    if (there.length === 0) expect(named, after).toBeUndefined();
    else expect(there, after).toContain(named);
    if (policy.single) expect(new Set(there).size, after).toBe(there.length);
  }
}

function policyOf({ rules, single, self }: ModelPolicy): StagePolicy {
  return {
    singleProduction: single,
    selfApproval: self,
    transitions: rules.map(({ from, to, mustBeGood, approvals, roles, expires }) => ({
      ...{ from, to, approvals, approverRoles: roles },
      checks: mustBeGood ? [{ check: 'metric', metric: 'good', min: 1 }] : [],
      ...(expires ? { expiresMs: modelExpiresMs } : {}),
    })),
  };
}
