import { definePipeline, type Json, type Pipeline, type StepHandle } from '@keelson/core';

/** Which executions a process drives, and where. */
export interface ContainerArgument {
  readonly dir: string;
  /** Where the engine answers. */
  readonly host: string;
  readonly executions: number;
  readonly steps: number;
  readonly url?: string;
}

/** What the containers run. */
const containerImage = 'keelson-test:busybox';

/**
 * Steps in rows of five, each of which runs a container and takes a value of the row before; how often one may be
 * tried again is for those that are harmed themselves.
 */
export function containerPipeline({ steps }: Pick<ContainerArgument, 'steps'>): Pipeline {
  const script =
    'echo "$KEELSON_STEP $KEELSON_ATTEMPT"; sleep 0.3; echo "$((${KEELSON_INPUT_N:-0} + 1))" > "$KEELSON_OUTPUT_N_PATH"';
  return definePipeline('containers', { version: '1.0.0' }, (p) => {
    let row: readonly StepHandle<{ readonly n: Json }>[] = [];
    for (let r = 0; r < steps / 5; r += 1) {
      const before = row;
      row = Array.from({ length: 5 }, (_, i) => {
        const from = before[i];
        return p.image(
          `r${r}s${i}`,
          from === undefined ? {} : { n: from.pick('n') },
          { image: containerImage, command: ['/bin/sh', '-c', script] },
          {
            outputs: { n: { type: 'parameter' } },
            // What is counted is containers.
            cache: false,
            retries: { limit: 5, delayMs: 50 },
            resources: { cpuCores: 0.25, memoryBytes: 32 * 2 ** 20 },
          },
        );
      });
    }
  });
}
