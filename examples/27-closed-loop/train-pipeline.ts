import { createHash } from 'node:crypto';
import { definePipeline, type Pipeline } from '@keelson/core';
import { fitFlights, modelFiles, predictFlight } from './flight-model.ts';
import { type Flights, featuresOf, firstFrom, labelOf } from './flights.ts';

/** Trains on the flights from … to …; what a response policy gives it is a part of its parameters. */
export function trainPipeline(flights: Flights): Pipeline {
  return definePipeline(
    'train-flights',
    {
      version: '1.0.0',
      description: 'Counts how often flights are late, by hour, weekday and distance.',
      parameters: {
        type: 'object',
        properties: {
          from: { type: 'number' },
          to: { type: 'number' },
          threshold: { type: 'number', default: 0.25 },
          smoothing: { type: 'number', default: 50 },
        },
        required: ['from', 'to'],
      },
    },
    (p) => {
      const load = p.step('load', {}, async ({ parameters }) => {
        const { from, to } = parameters;
        const [first, end] = [firstFrom(flights, from), firstFrom(flights, to)];
        if (end - first < 1000) throw new Error(`${end - first} flights are too few to train on.`);
        const digest = createHash('sha256');
        for (const column of [flights.at, flights.delay, flights.distance]) {
          digest.update(new Uint8Array(column.slice(first, end).buffer));
        }
        return { first, end, digest: digest.digest('hex') };
      });

      return p.step('fit', { load }, async ({ inputs, parameters, run }) => {
        if (run === undefined) throw new Error('This pipeline needs tracking.');
        const { threshold = 0.25, smoothing = 50, from, to } = parameters;
        const { first, end, digest } = inputs.load;
        await run.logParams({ threshold, smoothing });
        const name = `flights ${isoDate(from)} to ${isoDate(to)}`;
        await run.logDataset({ name, digest, role: 'train', rowCount: end - first });
        const model = fitFlights(flights, { first, end }, { threshold, smoothing });
        let right = 0;
        for (let i = first; i < end; i += 1) {
          if (predictFlight(model, featuresOf(flights, i)) === labelOf(flights, i)) right += 1;
        }
        const accuracy = right / (end - first);
        run.logMetric('accuracy', accuracy);
        for (const [file, bytes] of Object.entries(modelFiles(model))) {
          await run.logArtifact(`model/${file}`, bytes, { type: 'MODEL' });
        }
        return { runId: run.id, rows: end - first, metrics: { accuracy } };
      });
    },
  ) as unknown as Pipeline;
}

/** Such as `2001-05-07`. */
export function isoDate(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}
