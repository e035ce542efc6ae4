import { definePipeline, type Pipeline } from '../src/pipelines/define-pipeline.ts';
import type { StepHandle } from '../src/pipelines/step-types.ts';

/**
 * A pipeline of commands in rows, each of which waits for the whole row before; every command writes a line
 * `step attempt pid` when it begins and works for a moment.
 */
export function commandPipeline(
  effects: string,
  shape: { readonly rows: number; readonly width: number; readonly seconds: number },
): Pipeline {
  const script = `echo "$KEELSON_STEP $KEELSON_ATTEMPT $$" >> ${effects}; sleep ${shape.seconds}; echo $KEELSON_STEP > "$KEELSON_OUTPUT_NAME_PATH"`;
  return definePipeline('commands', { version: '1.0.0' }, (p) => {
    let row: readonly StepHandle[] = [];
    for (let r = 0; r < shape.rows; r += 1) {
      const before = row;
      row = Array.from({ length: shape.width }, (_, i) =>
        p.command(`r${r}c${i}`, {}, ['/bin/sh', '-c', script], {
          outputs: { name: { type: 'artifact' } },
          after: before,
          // What a machine has room for is not what is tested here.
          resources: { cpuCores: 0.01 },
        }),
      );
    }
  });
}
