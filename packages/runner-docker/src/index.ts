export { dockerExecutor } from './docker-executor.ts';
export type { EngineTls } from './engine-place.ts';
export type { PullPolicy, RunnerOptions } from './runner-options.ts';
export { swarmExecutor } from './swarm-executor.ts';
