// What rows of the control plane answer, for pages: types only.
export type { EventQuery, WireEvent } from '../../../src/api/rows/event-rows.ts';
export type { ExecutionWithSteps, WireLog } from '../../../src/api/rows/execution-rows.ts';
