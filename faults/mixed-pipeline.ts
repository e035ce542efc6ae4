import { appendFileSync } from 'node:fs';
import { definePipeline, type Pipeline, type StepHandle } from '@keelson/core';

/** Which executions a process drives, and where. */
export interface PipelineArgument {
  readonly dir: string;
  /** The file to which each step writes a line when it works. */
  readonly effects: string;
  readonly executions: number;
  readonly url?: string;
}

/** How many steps it has. */
export const mixedSteps = 50;

/**
 * Fifty steps in ten rows, functions and commands in turns: each waits for two of the row before, writes the line
 * `execution step attempt pid` and works for a moment. `began` is called by each function.
 */
export function mixedPipeline({
  effects,
  began,
}: Pick<PipelineArgument, 'effects'> & { began?(): void }): Pipeline {
  const script = `echo "$KEELSON_EXECUTION_ID $KEELSON_STEP $KEELSON_ATTEMPT $$" >> ${effects}; sleep 0.05; echo 1 > $KEELSON_OUTPUT_N_PATH`;
  return definePipeline('mixed', { version: '1.0.0' }, (p) => {
    let row: readonly StepHandle[] = [];
    for (let r = 0; r < mixedSteps / 5; r += 1) {
      const before = row;
      row = Array.from({ length: 5 }, (_, i) => {
        const after = before.length === 0 ? [] : [before[i], before[(i + 1) % 5]];
        const name = `r${r}s${i}`;
        const options = { after: after.filter((step) => step !== undefined) };
        if ((r + i) % 2 === 0) {
          return p.command(name, {}, ['/bin/sh', '-c', script], {
            ...options,
            outputs: { n: { type: 'parameter' } },
            resources: { cpuCores: 0.5 },
          });
        }
        const work = async ({ executionId, step, attempt }: WorkContext): Promise<number> => {
          began?.();
          appendFileSync(effects, `${executionId} ${step} ${attempt} ${process.pid}\n`);
          await new Promise((resolve) => setTimeout(resolve, 5));
          return 1;
        };
        return p.step(name, {}, work, options);
      });
    }
  });
}

interface WorkContext {
  readonly executionId: string;
  readonly step: string;
  readonly attempt: number;
}
