import type { Services } from '../../src/open-platform.ts';

const quick = { environment: false } as const;
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** Two experiments with five runs that have ended, and something of each sort that tracking keeps. */
export async function filledPlatform({ tracking }: Pick<Services, 'tracking'>): Promise<void> {
  await tracking.createExperiment({ name: 'fraud/cnn', description: 'ü', tags: { team: 'x' } });
  await tracking.defineMetric({ name: 'loss', aliases: ['l'], direction: 'lower', unit: 'nats' });
  await tracking.withRun(
    { experiment: 'fraud/cnn', params: { rate: 1e-3, text: '0.001', odd: Number.NaN } },
    async (run) => {
      const values = [Number.NaN, Number.POSITIVE_INFINITY, -0, 0.5, Number.NEGATIVE_INFINITY];
      // Irregular, backward and equal steps; equal times.
      [5, 3, 3, 3, -1].forEach((step, i) => {
        run.logMetric('loss', values[i] ?? 0, { step, timestamp: 1_000 + (i % 2) });
      });
      run.logMetric('__proto__', 1);
      await run.logParams({ rate: 2e-3 });
      await run.setTags({ phase: 'one' });
      await run.logArtifact('model.bin', bytes('one'));
      await run.logArtifact('model.bin', bytes('two'), {
        onConflict: 'replace',
        metadata: { from: 'here' },
      });
      await run.logArtifact('copy/ü.bin', bytes('one'));
      await run.logDataset({ name: 'd', digest: '1', role: 'train', schema: { a: [1] } });
      await tracking.withRun({ experiment: 'fraud/cnn', ...quick }, async (nested) => {
        nested.logMetric('loss', 1);
      });
    },
  );
  const failing = tracking.withRun({ experiment: 'fraud/cnn', ...quick }, async () => {
    throw new Error('as meant');
  });
  await failing.catch(() => undefined);
  const ended = await tracking.withRun({ experiment: 'other', ...quick }, async (run) => run.id);
  await tracking.updateRun(ended, { name: 'renamed', description: 'twice' });
  const again = await tracking.resumeRun(ended);
  await again.logArtifact('empty', new Uint8Array(0));
  await again.finish('KILLED', 'enough');
  await tracking.withRun({ experiment: 'other', ...quick }, async (run) => {
    await run.logDataset({ name: 'd', digest: '1', role: 'test' });
  });
}
