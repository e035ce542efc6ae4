import type { JsonObject } from '../../json.ts';
import type { ActiveRun } from '../../tracking/active-run.ts';
import type { Admissions, Allocated } from '../admission/admission.ts';
import type { StepCaching } from '../cache/step-caching.ts';
import type { StepDefinition } from '../definition.ts';
import type { Definitions } from '../definitions.ts';
import type { ExecutionState } from '../execution.ts';
import type { ExecutionRecords } from '../execution-records.ts';
import type { StepOrigins } from '../lineage/step-edges.ts';
import type { Settling } from '../settling.ts';
import type { StepState } from '../step-execution.ts';
import type { RunLink } from './run-link.ts';
import type { StepCommits } from './step-commits.ts';
import type { StepConditions } from './step-conditions.ts';
import type { InputsGiven, StepValues } from './step-values.ts';

/** An attempt that has begun, or that this process has adopted. */
export interface Begun {
  readonly execution: ExecutionState;
  /** The step as it was when the attempt was begun. */
  readonly state: StepState;
  readonly step: StepDefinition;
  readonly attempt: number;
  /** Read when they are asked for: one that was adopted may need none. */
  readonly inputs: () => Promise<InputsGiven>;
  /** What went into it, for the lineage; of one that was adopted, the edges tell. */
  readonly origins?: StepOrigins;
  /** Its run of tracking, where that began in the commit of the start. */
  readonly run?: ActiveRun;
  /** What the commit of the start has left: good for its end, as long as nobody has changed it. */
  readonly started?: Started;
  readonly adopted: boolean;
  readonly allocated: Allocated;
}

/** A step that runs, and its execution, as they are known without being read. */
export interface Started {
  readonly state: StepState;
  readonly execution: ExecutionState;
}

/** What is due of a step that was claimed. */
export type Turn =
  /** It runs here. */
  | { readonly do: 'run'; readonly begun: Begun }
  /** It was moved on without running, or there is nothing to do. */
  | { readonly do: 'nothing' }
  /** There is no room for it now. */
  | { readonly do: 'wait'; readonly reason: string };

/** Of a step that does not run here now. */
export const nothing: Turn = { do: 'nothing' };

/** What turns need. */
export interface TurnParts {
  readonly records: ExecutionRecords;
  readonly definitions: Definitions;
  readonly settling: Settling;
  readonly commits: StepCommits;
  readonly values: StepValues;
  readonly conditions: StepConditions;
  readonly admissions?: Admissions;
  readonly caching?: StepCaching;
  readonly link: Pick<RunLink, 'beginning'>;
  /** Who runs the attempts, for the record. */
  readonly owner: JsonObject;
  /** Whether runs of tracking stand for executions. */
  readonly tracked: boolean;
  /** Deaths of the process around one step in one round, after which it counts as failed. */
  readonly lossLimit: number;
}

/** Whether an executor does its work, so that it may outlive its supervisor. */
export function isExternal({ runsOn }: Pick<StepState, 'runsOn'>): boolean {
  return runsOn.startsWith('executor:') && runsOn !== 'executor:inline';
}
