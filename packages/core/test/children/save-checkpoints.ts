/**
 * Counts to a number in a step that saves where it is, until it is killed: `save-checkpoints <dir> <to>`. Prints
 * `from <attempt> <version>` when an attempt begins, `saved <version>` once that is acknowledged, and at the end `done <output>`.
 */
import { writeSync } from 'node:fs';
import { openPlatform } from '../../src/open-platform.ts';
import { definePipeline } from '../../src/pipelines/define-pipeline.ts';
import { testBackends } from '../test-backends.ts';

const [dir = '', to = ''] = process.argv.slice(2);
const say = (line: string): number => writeSync(1, `${line}\n`);
const platform = await openPlatform({ ...(await testBackends(dir)), dir });

const pipeline = definePipeline('counting', { version: '1.0.0' }, (p) =>
  p.step(
    'count',
    {},
    async ({ checkpoint, attempt }) => {
      const last = await checkpoint.last();
      const bytes = await last?.bytes();
      const version = last?.version ?? 0;
      if (bytes !== undefined && !bytes.every((byte) => byte === version % 256)) say('torn');
      say(`from ${attempt} ${version}`);
      for (let i = version + 1; i <= Number(to); i += 1) {
        const saved = await checkpoint.save(new Uint8Array(300_000).fill(i % 256));
        say(`saved ${saved.version}`);
      }
      return (await checkpoint.last())?.version ?? 0;
    },
    { version: '1' },
  ),
);
platform.pipelines.add(pipeline);
const started = await platform.pipelines.start(pipeline, {}, { idempotencyKey: 'one' });
const done = await platform.pipelines.wait(started);
say(`done ${String(done.output)}`);
await platform.close();
