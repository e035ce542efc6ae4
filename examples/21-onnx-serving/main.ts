/**
 * An ONNX model, registered and served: the registry reads its signature from the file, onnxruntime-node runs it in a
 * process of its own, and requests that come at once share calls of the model.
 */
import { openPlatform } from '@keelson/core';
import { serve } from '@keelson/serve';
import { classes, featuresOf, labelOf, loadWeather } from '../weather/weather-data.ts';
import { type LinearClassifier, softmaxOnnx } from './softmax-onnx.ts';

const platform = await openPlatform();
const name = `weather-onnx-${Date.now()}`;
const { days } = loadWeather();
const rows = days.map(featuresOf);
const known = days.map(labelOf);

await platform.registry.createModel({ name });
const version = await platform.registry.register({
  model: name,
  from: {
    files: { 'model.onnx': softmaxOnnx(train(days.filter((day) => day.year < 2015).length)) },
  },
});
console.log(
  `registered ${version.version}: ${version.format}, ${JSON.stringify(version.signature)}`,
);

await platform.deployments.create({
  name,
  versionId: version.id,
  environment: 'PRODUCTION',
  serving: { isolation: 'process', replicas: 1, batching: { mode: 'adaptive', maxRows: 64 } },
});
const server = await serve(platform, { deployments: [name] });
console.log(`served at ${server.url}/v2/models/${name}`);

// A year of days, 32 at a time, each a request of its own.
const year = days.flatMap((day, i) => (day.year === 2015 ? [i] : []));
let right = 0;
const startedAt = performance.now();
for (let from = 0; from < year.length; from += 32) {
  const answers = await Promise.all(year.slice(from, from + 32).map(ask));
  right += answers.filter(Boolean).length;
}
const tookMs = performance.now() - startedAt;
console.log(
  `${year.length} requests in ${Math.round(tookMs)} ms, accuracy ${(right / year.length).toFixed(2)}`,
);
if (right / year.length < 0.6) throw new Error('The model should know most of the weather.');

for (const { versions } of server.status()) console.log('run by', versions[0]?.replicas[0]?.facts);
await server.close();
await platform.close();

/** Whether the model is right about a day. */
async function ask(day: number): Promise<boolean> {
  const data = rows[day] as number[];
  const inputs = [{ name: 'x', datatype: 'FP32', shape: [1, data.length], data }];
  const response = await fetch(`${server.url}/v2/models/${name}/infer`, {
    method: 'POST',
    body: JSON.stringify({ inputs }),
  });
  if (!response.ok) throw new Error(await response.text());
  const { outputs } = (await response.json()) as { outputs: { data: number[] }[] };
  const probabilities = outputs[0]?.data ?? [];
  return probabilities.indexOf(Math.max(...probabilities)) === known[day];
}

/** Multinomial logistic regression on the first `count` days, by gradient descent. */
function train(count: number): LinearClassifier {
  const features = rows[0]?.length ?? 0;
  const weights = Array.from({ length: features }, () => classes.map(() => 0));
  const bias = classes.map(() => 0);
  for (let epoch = 0; epoch < 60; epoch += 1) {
    for (let i = 0; i < count; i += 1) {
      const x = rows[i] as number[];
      const scores = bias.map((b, c) =>
        x.reduce((sum, value, f) => sum + value * (weights[f]?.[c] ?? 0), b),
      );
      const powers = scores.map((score) => Math.exp(score - Math.max(...scores)));
      const total = powers.reduce((a, b) => a + b, 0);
      powers.forEach((power, c) => {
        const step = 0.002 * ((c === known[i] ? 1 : 0) - power / total);
        bias[c] = (bias[c] ?? 0) + step;
        x.forEach((value, f) => {
          (weights[f] as number[])[c] = (weights[f]?.[c] ?? 0) + step * value;
        });
      });
    }
  }
  return { weights, bias };
}
