import type { ModelSignature } from '@keelson/core';
import type { Forest } from './forest.ts';

/** What the weather model takes and gives. */
export function weatherSignature(
  features: readonly string[],
  classes: readonly string[],
): ModelSignature {
  return {
    inputs: [
      { name: 'features', datatype: 'FP64', shape: [-1, features.length], columns: [...features] },
    ],
    outputs: [
      { name: 'label', datatype: 'BYTES', shape: [-1] },
      {
        name: 'probabilities',
        datatype: 'FP64',
        shape: [-1, classes.length],
        columns: [...classes],
      },
    ],
  };
}

/** The files of a forest as a model that `@keelson/serve` runs: its weights, and the code that reads them. */
export function modelFiles(forest: Forest): Readonly<Record<string, Uint8Array>> {
  return {
    'forest.json': Buffer.from(JSON.stringify(forest)),
    'model.mjs': Buffer.from(modelModule),
  };
}

const modelModule = `import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Mean of the trees' class shares; the most probable class is the label. */
export async function load(directory) {
  const { classes, features, trees } = JSON.parse(await readFile(join(directory, 'forest.json'), 'utf8'));
  const width = features.length;
  const probabilitiesOf = (row) => {
    const sum = new Array(classes.length).fill(0);
    for (const tree of trees) {
      let node = tree;
      while (node.share === undefined) node = row[node.feature] < node.below ? node.left : node.right;
      node.share.forEach((share, i) => { sum[i] += share / trees.length; });
    }
    return sum;
  };
  return {
    predict({ features: { data } }, { rowCount }) {
      const probabilities = Array.from({ length: rowCount }, (_, i) =>
        probabilitiesOf(data.slice(i * width, (i + 1) * width)));
      const label = probabilities.map((shares) => classes[shares.indexOf(Math.max(...shares))]);
      return { label, probabilities };
    },
  };
}
`;
