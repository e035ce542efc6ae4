import { RandomForestClassifier } from 'ml-random-forest';

/** How a forest grows. */
export interface ForestOptions {
  readonly trees: number;
  readonly minNumSamples: number;
  readonly maxFeatures: number;
  readonly seed: number;
}

/** One tree: a leaf with the share of each class, or a question with its two answers. */
export type TreeNode =
  | { readonly share: readonly number[] }
  | {
      readonly feature: number;
      readonly below: number;
      readonly left: TreeNode;
      readonly right: TreeNode;
    };

/** A trained forest as plain JSON, which a few lines can evaluate: no library is needed to serve it. */
export interface Forest {
  readonly classes: readonly string[];
  readonly features: readonly string[];
  readonly trees: readonly TreeNode[];
}

/** Trains a random forest (ml-random-forest) and takes its trees out as plain JSON. */
export function trainForest(
  rows: readonly (readonly number[])[],
  labels: readonly number[],
  classes: readonly string[],
  features: readonly string[],
  options: ForestOptions,
): Forest {
  const forest = new RandomForestClassifier({
    seed: options.seed,
    nEstimators: options.trees,
    maxFeatures: options.maxFeatures,
    replacement: false,
    useSampleBagging: true,
    noOOB: true,
    treeOptions: { minNumSamples: options.minNumSamples },
  });
  forest.train(
    rows.map((row) => [...row]),
    [...labels],
  );
  // Its toJSON still holds matrices; only their JSON text is plain.
  const { baseModel } = JSON.parse(JSON.stringify(forest)) as { readonly baseModel: RawForest };
  const trees = baseModel.estimators.map((estimator, i) =>
    plainTree(estimator.root, baseModel.indexes[i] ?? [], classes.length),
  );
  return { classes, features, trees };
}

/** Mean of the trees' class shares, over the first `trees` of them. */
function probabilitiesOf(
  forest: Forest,
  row: readonly number[],
  trees: number = forest.trees.length,
): number[] {
  const sum = new Array<number>(forest.classes.length).fill(0);
  for (const tree of forest.trees.slice(0, trees)) {
    let node = tree;
    while (!('share' in node)) {
      node = (row[node.feature] ?? 0) < node.below ? node.left : node.right;
    }
    node.share.forEach((share, i) => {
      sum[i] = (sum[i] ?? 0) + share / trees;
    });
  }
  return sum;
}

/** The most probable class, as a number. */
export function predictClass(forest: Forest, row: readonly number[], trees?: number): number {
  const shares = probabilitiesOf(forest, row, trees);
  return shares.indexOf(Math.max(...shares));
}

interface RawForest {
  readonly estimators: readonly { readonly root: RawNode }[];
  readonly indexes: readonly (readonly number[])[];
}

interface RawNode {
  readonly splitColumn?: number;
  readonly splitValue?: number;
  readonly left?: RawNode;
  readonly right?: RawNode;
  readonly distribution?: readonly (readonly number[])[];
}

function plainTree(node: RawNode, columns: readonly number[], classes: number): TreeNode {
  if (node.left !== undefined && node.right !== undefined) {
    return {
      feature: columns[node.splitColumn ?? 0] ?? 0,
      below: node.splitValue ?? 0,
      left: plainTree(node.left, columns, classes),
      right: plainTree(node.right, columns, classes),
    };
  }
  const share = node.distribution?.[0] ?? [];
  // A leaf knows the classes up to the greatest that it saw.
  return { share: Array.from({ length: classes }, (_, i) => share[i] ?? 0) };
}
