import { epochCallback, type Tracking, tfLoadHandler, tfSaveHandler } from '@keelson/core';
import * as tf from '@tensorflow/tfjs';
import { classes, type Day, featuresOf, labelOf, loadWeather } from '../weather/weather-data.ts';

/** How the net is built and trained. */
export interface NetOptions {
  readonly units: number;
  readonly rate: number;
  readonly epochs: number;
  readonly batchSize: number;
}

/** The experiment: a mistyped metric or param would not compile. */
type Experiment = {
  params: NetOptions & { readonly seed: number };
  metrics: 'loss' | 'acc' | 'val_loss' | 'val_acc' | 'test_accuracy';
};

const seed = 7;

/** Trains on 2012–2013 in a run of its own; answers the run and the accuracy on 2014. */
export async function trainNet(
  tracking: Tracking,
  options: NetOptions,
): Promise<{ readonly runId: string; readonly accuracy: number }> {
  const { days, sha256 } = loadWeather();
  const train = days.filter((day) => day.year <= 2013);
  const test = days.filter((day) => day.year === 2014);
  const experiment = tracking.experiment<Experiment>('weather-tfjs');
  return experiment.withRun({ params: { ...options, seed } }, async (run) => {
    await run.logDataset({ name: 'seattle-2012-2013', digest: sha256, role: 'train' });
    const model = net(options, train);
    await model.fit(featuresTensor(train), labelsTensor(train), {
      epochs: options.epochs,
      batchSize: options.batchSize,
      validationData: [featuresTensor(test), labelsTensor(test)],
      shuffle: false,
      verbose: 0,
      callbacks: epochCallback(run),
    });
    await model.save(tf.io.withSaveHandler(tfSaveHandler(run, 'model')));
    const accuracy = accuracyOn(model, test);
    run.logMetric('test_accuracy', accuracy, { step: options.epochs });
    return { runId: run.id, accuracy };
  });
}

/** Loads the model from the run's artifacts; answers its accuracy on 2014. */
export async function reloadNet(tracking: Tracking, runId: string): Promise<number> {
  const model = await tf.loadLayersModel(tfLoadHandler(tracking, runId, 'model'));
  const { days } = loadWeather();
  return accuracyOn(
    model,
    days.filter((day) => day.year === 2014),
  );
}

/** A dense net of one hidden layer; the first layer scales each feature by the training days. */
function net(options: NetOptions, train: readonly Day[]): tf.Sequential {
  const rows = train.map(featuresOf);
  const columns = (rows[0] ?? []).map((_, i) => rows.map((row) => row[i] ?? 0));
  const means = columns.map((of) => of.reduce((a, b) => a + b, 0) / of.length);
  const deviations = columns.map(
    (of, i) => Math.hypot(...of.map((v) => v - (means[i] ?? 0))) / Math.sqrt(of.length),
  );
  const scale = tf.diag(tf.tensor1d(deviations.map((deviation) => 1 / deviation)));
  const shift = tf.tensor1d(means.map((mean, i) => -mean / (deviations[i] ?? 1)));
  const kernelInitializer = tf.initializers.glorotUniform({ seed });
  const { units } = options;
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ units: means.length, inputShape: [means.length], trainable: false }),
      tf.layers.dense({ units, activation: 'relu', kernelInitializer }),
      tf.layers.dense({ units: classes.length, activation: 'softmax', kernelInitializer }),
    ],
  });
  model.layers[0]?.setWeights([scale, shift]);
  const loss = 'categoricalCrossentropy';
  model.compile({ optimizer: tf.train.adam(options.rate), loss, metrics: ['accuracy'] });
  return model;
}

function featuresTensor(days: readonly Day[]): tf.Tensor2D {
  return tf.tensor2d(days.map(featuresOf));
}

function labelsTensor(days: readonly Day[]): tf.Tensor {
  return tf.oneHot(tf.tensor1d(days.map(labelOf), 'int32'), classes.length);
}

function accuracyOn(model: tf.LayersModel, days: readonly Day[]): number {
  const predicted = (model.predict(featuresTensor(days)) as tf.Tensor).argMax(1).dataSync();
  const right = days.filter((day, i) => labelOf(day) === predicted[i]).length;
  return right / days.length;
}
