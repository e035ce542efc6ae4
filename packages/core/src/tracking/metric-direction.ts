/** Which way a metric is better. */
export type MetricDirection = 'higher' | 'lower';

const lower = new Set(
  `loss losses error errors err rmse mse mae mape smape wape rmsle msle rse rae medae perplexity ppl bpc
  wer cer eer fid kid brier ece mce logloss entropy crossentropy nll kl divergence deviance aic bic hinge
  latency duration regret cost distance hamming pinball residual fpr fnr fdr misclassification`.split(
    /\s+/,
  ),
);

const higher = new Set(
  `accuracy acc auc auroc auprc roc ap map f1 f2 fbeta fscore fmeasure precision recall sensitivity
  specificity tpr tnr npv ppv r2 rsquared iou miou dice jaccard bleu rouge meteor chrf ndcg mrr psnr ssim
  kappa mcc likelihood loglikelihood reward throughput silhouette spearman pearson correlation
  hits`.split(/\s+/),
);

const negation = new Set(['neg', 'negative', 'minus']);

const qualifiers = new Set(
  `train training test testing val valid validation eval dev holdout best last first final min max mean
  median avg average sum std var total count step epoch batch micro macro weighted top log`.split(
    /\s+/,
  ),
);

/**
 * Which way a metric is better, by its name: the last word that says so counts (`accuracy_loss` is a
 * loss), a `neg` or `negative` before it turns it round (`neg_mean_squared_error`: higher). Undefined
 * where no word says so, and below `system/`.
 */
export function directionByName(name: string): MetricDirection | undefined {
  if (name.startsWith('system/')) return undefined;
  const words = metricWords(name);
  const at = words.findLastIndex((word) => wordDirection(word) !== undefined);
  const direction = wordDirection(words[at] ?? '');
  if (direction === undefined || !words.slice(0, at).some((word) => negation.has(word)))
    return direction;
  return direction === 'higher' ? 'lower' : 'higher';
}

/** The lower-case words of a metric's name: `valAcc`, `val_acc` and `VAL-ACC` have the same. */
export function metricWords(name: string): readonly string[] {
  return name
    .replace(/(\p{Ll}|\d)(\p{Lu})/gu, '$1 $2')
    .replace(/(\p{Lu})(\p{Lu}\p{Ll})/gu, '$1 $2')
    .toLowerCase()
    .split(/[^\p{L}\p{N}]+/u)
    .filter((word) => word !== '');
}

/** Whether a word is one that metrics are called by, so that it is no misspelling of another. */
export function isMetricWord(word: string): boolean {
  return wordDirection(word) !== undefined || qualifiers.has(word) || negation.has(word);
}

function wordDirection(word: string): MetricDirection | undefined {
  // `f1` is a word of its own, `ap50` and `loss2` are not.
  for (const form of [word, word.replace(/\d+$/, '')]) {
    if (lower.has(form)) return 'lower';
    if (higher.has(form)) return 'higher';
  }
  return undefined;
}
