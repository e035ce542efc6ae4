/**
 * What stages do, in plain form: the reference that random stories hold the registry to. Written from the
 * specification, without a look at `registry/`.
 */
export type ModelStage = 'DEVELOPMENT' | 'STAGING' | 'PRODUCTION' | 'ARCHIVED';

export interface ModelRule {
  readonly from: ModelStage;
  readonly to: ModelStage;
  /** Whether the version's `good` must be 1. */
  readonly mustBeGood: boolean;
  readonly approvals: number;
  readonly roles: readonly string[];
  readonly expires: boolean;
}

export interface ModelPolicy {
  readonly rules: readonly ModelRule[];
  readonly single: boolean;
  readonly self: boolean;
}

export interface ModelPerson {
  readonly id: string;
  readonly roles: readonly string[];
}

interface Version {
  stage: ModelStage;
  readonly good: boolean;
  deleted: boolean;
}

interface Request {
  readonly version: number;
  readonly from: ModelStage;
  readonly to: ModelStage;
  readonly by: string;
  readonly approved: string[];
  readonly expiresAt: number | undefined;
  status: 'PENDING' | 'DONE' | 'FAILED' | 'REJECTED' | 'WITHDRAWN' | 'EXPIRED';
}

export type Verdict = 'ok' | 'CONFLICT' | 'FORBIDDEN' | 'NOT_FOUND';

export const modelExpiresMs = 1000;

export class StageModel {
  policy: ModelPolicy;
  readonly versions: Version[] = [];
  readonly requests: Request[] = [];
  /** Versions in the order in which they came into production. */
  readonly #arrivals: number[] = [];

  constructor(policy: ModelPolicy) {
    this.policy = policy;
  }

  register(good: boolean): void {
    this.versions.push({ stage: 'DEVELOPMENT', good, deleted: false });
  }

  request(index: number, to: ModelStage, person: ModelPerson, now: number): Verdict {
    const version = this.#version(index);
    if (version.deleted) return 'NOT_FOUND';
    const rule = this.#rule(version.stage, to);
    if (rule === undefined) return 'CONFLICT';
    const request: Request = {
      ...{ version: index, from: version.stage, to, by: person.id, approved: [] },
      expiresAt: rule.expires ? now + modelExpiresMs : undefined,
      status: 'PENDING',
    };
    this.requests.push(request);
    if (rule.mustBeGood && !version.good) request.status = 'FAILED';
    else if (rule.approvals === 0) this.#apply(request);
    return 'ok';
  }

  decide(index: number, yes: boolean, person: ModelPerson, now: number): Verdict {
    const request = this.requests[index] as Request;
    if (request.status !== 'PENDING') return 'CONFLICT';
    if (request.expiresAt !== undefined && now >= request.expiresAt) {
      request.status = 'EXPIRED';
      return 'CONFLICT';
    }
    const version = this.#version(request.version);
    if (version.stage !== request.from) return 'CONFLICT';
    const rule = this.#rule(request.from, request.to);
    if (rule === undefined) return 'CONFLICT';
    const mayNot =
      (!this.policy.self && person.id === request.by) ||
      request.approved.includes(person.id) ||
      (rule.roles.length > 0 && !rule.roles.some((role) => person.roles.includes(role)));
    if (mayNot) return 'FORBIDDEN';
    if (!yes) {
      request.status = 'REJECTED';
      return 'ok';
    }
    if (version.deleted) return 'CONFLICT';
    request.approved.push(person.id);
    if (request.approved.length >= rule.approvals) this.#apply(request);
    return 'ok';
  }

  withdraw(index: number, person: ModelPerson): Verdict {
    const request = this.requests[index] as Request;
    if (request.status !== 'PENDING') return 'CONFLICT';
    if (request.by !== person.id) return 'FORBIDDEN';
    request.status = 'WITHDRAWN';
    return 'ok';
  }

  rollback(): Verdict {
    const present = this.versions.flatMap((each, i) => (this.#isLive(each) ? [i] : []));
    const [leaving] = present;
    if (leaving === undefined || present.length > 1) return 'CONFLICT';
    const coming = this.#arrivals.findLast((index) => {
      const { stage, deleted } = this.#version(index);
      return stage === 'ARCHIVED' && !deleted;
    });
    if (coming === undefined) return 'CONFLICT';
    this.#version(leaving).stage = 'STAGING';
    this.#version(coming).stage = 'PRODUCTION';
    this.#arrivals.push(coming);
    return 'ok';
  }

  remove(index: number, force: boolean): Verdict {
    const version = this.#version(index);
    if (version.deleted) return 'ok';
    if (version.stage === 'PRODUCTION' && !force) return 'CONFLICT';
    version.deleted = true;
    if (version.stage === 'PRODUCTION') version.stage = 'ARCHIVED';
    return 'ok';
  }

  restore(index: number): void {
    this.#version(index).deleted = false;
  }

  /** What is in production. */
  get production(): readonly number[] {
    return this.versions.flatMap((each, i) => (this.#isLive(each) ? [i] : []));
  }

  #apply(request: Request): void {
    const version = this.#version(request.version);
    request.status = 'DONE';
    if (request.to === 'PRODUCTION') {
      for (const other of this.policy.single ? this.versions : []) {
        if (other !== version && this.#isLive(other)) other.stage = 'ARCHIVED';
      }
      this.#arrivals.push(request.version);
    }
    version.stage = request.to;
  }

  #isLive({ stage, deleted }: Version): boolean {
    return stage === 'PRODUCTION' && !deleted;
  }

  #rule(from: ModelStage, to: ModelStage): ModelRule | undefined {
    return this.policy.rules.find((rule) => rule.from === from && rule.to === to);
  }

  #version(index: number): Version {
    return this.versions[index] as Version;
  }
}
