import type { JsonObject, KeelsonError } from '@keelson/core';
import type { BreakerStatus } from '../remote/circuit-breaker.ts';
import type { Job } from './job.ts';

/** What a replica does with the jobs it was given. */
export interface ReplicaEvents {
  /** Room came free. */
  onIdle(replica: Replica): void;
  /** Was given a job that it will not begin; the pool gives it to another. */
  onReturned(jobs: readonly Job[]): void;
  /**
   * The replica is gone. `running` is the job it was in, if any; `waiting` those that it had not begun, or whose
   * answers were lost.
   */
  onDown(replica: Replica, reason: string, running: readonly Job[], waiting: readonly Job[]): void;
  /** It works, and should be replaced: another is to be started, and this one stopped. May be said several times. */
  onWorn(replica: Replica, reason: string): void;
  /** The replica stays, and is `down` for a while; `onIdle` tells when it is back. */
  onOutage(replica: Replica, error: KeelsonError): void;
}

/** One running copy of a model. */
export interface Replica {
  readonly id: string;
  /** `overdue` runs a job past its deadline: it gets no more until it answers. */
  readonly state: 'starting' | 'ready' | 'overdue' | 'stopping' | 'down';
  /** What the runtime found out while it loaded, such as the execution provider really used. */
  readonly facts: JsonObject;
  /** Jobs answered so far, however; replicas that do not count them leave it out. */
  readonly answered?: number;
  /** Jobs sent and not answered. */
  readonly outstanding: number;
  /** Resolves when nothing of it runs any more, which may be long after it went down. */
  readonly ended: Promise<void>;
  /** How many outstanding jobs it takes: more where inferences are short, so that they share wake-ups. */
  readonly window: number;
  /**
   * How many calls it is given at once where requests share calls: more than that wait, and so come together; 2 when left
   * out, so that one is at hand when another ends.
   */
  readonly lanes?: number;
  /** Of a client of a server elsewhere. */
  readonly breaker?: BreakerStatus;
  /** Why one that stays is `down` for now; undefined otherwise. */
  readonly outage?: KeelsonError | undefined;
  send(job: Job): void;
  /** Nothing more is sent in this turn of the event loop. */
  flush?(): void;
  /** Finds jobs past their deadline: settles them with TIMEOUT, and takes back what a stuck one blocks. */
  sweep(now: number): void;
  /** Lets the model unload and ends; resolves when it is over, at the latest after `timeoutMs`. */
  stop(timeoutMs: number): Promise<void>;
}

/** Starts a replica and resolves when its model is loaded and warm; rejects with FAILED, naming the fault. */
export type StartReplica = (id: string, events: ReplicaEvents) => Promise<Replica>;
