import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { LocalServingSource } from '@keelson/serve';

const module = `export const load = () => ({
  predict: ({ x }, { rowCount }) => ({
    rain: Float64Array.from({ length: rowCount }, (_, row) => 1 / (1 + Math.exp(x.data[2 * row] - x.data[2 * row + 1]))),
  }),
});`;

/** A model without a platform; with one, `openServing(platform, …)` takes its deployments instead. */
export async function weatherSource(): Promise<LocalServingSource> {
  const directory = await mkdtemp(join(tmpdir(), 'keelson-weather-'));
  await writeFile(join(directory, 'model.mjs'), module);
  const source = new LocalServingSource({
    models: [
      {
        versionId: 'weather-1',
        name: 'weather',
        version: '1.0.0',
        format: 'JS',
        directory,
        signature: {
          inputs: [{ name: 'x', datatype: 'FP64', shape: [-1, 2], columns: ['wind', 'cloud'] }],
          outputs: [{ name: 'rain', datatype: 'FP64', shape: [-1] }],
        },
      },
    ],
  });
  source.setRoute('weather', {
    generation: 1,
    environment: 'PRODUCTION',
    route: {
      deploymentId: 'weather',
      targets: [{ versionId: 'weather-1', weightPercent: 100 }],
      rules: [],
      shadows: [],
    },
  });
  return source;
}
