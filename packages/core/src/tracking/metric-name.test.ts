import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { directionByName, metricWords } from './metric-direction.ts';
import { editDistance, nearness, OldNames } from './metric-name.ts';

describe('direction by name', () => {
  test.each([
    ['loss', 'lower'],
    ['val_loss', 'lower'],
    ['valRMSE', 'lower'],
    ['test/error_rate', 'lower'],
    ['log-loss', 'lower'],
    ['crossEntropy', 'lower'],
    ['system/error', undefined],
    ['accuracy', 'higher'],
    ['val_acc', 'higher'],
    ['top5Accuracy', 'higher'],
    ['ROC AUC', 'higher'],
    ['macro F1', 'higher'],
    ['r2_score', 'higher'],
    ['mAP50', 'higher'],
    ['accuracy_loss', 'lower'],
    ['neg_mean_squared_error', 'higher'],
    ['negative_log_likelihood', 'lower'],
    ['log_likelihood', 'higher'],
    ['learning_rate', undefined],
    ['epoch', undefined],
    ['glossary', undefined],
    ['', undefined],
  ])('%s: %s', (name, direction) => {
    expect(directionByName(name)).toBe(direction);
  });

  test('words are the same however they are written', () => {
    for (const name of ['val_acc', 'valAcc', 'VAL-ACC', 'val.acc', 'Val Acc'])
      expect(metricWords(name)).toEqual(['val', 'acc']);
  });
});

describe('nearness', () => {
  test.each([
    ['valLoss', 'val_loss', 'spelling'],
    ['VAL-LOSS', 'val_loss', 'spelling'],
    ['valloss', 'val_loss', 'spelling'],
    ['acuracy', 'accuracy', 'misspelt'],
    ['val_accuarcy', 'val_accuracy', 'misspelt'],
    ['vall_loss', 'val_loss', 'misspelt'],
    ['los', 'loss', 'misspelt'],
    ['grad_nrom', 'grad_norm', 'misspelt'],
  ])('%s is near %s: %s', (name, old, near) => {
    expect(nearness(name, old)).toBe(near);
  });

  test.each([
    ['loss', 'loss'],
    ['loss_1', 'loss_2'],
    ['layer10/norm', 'layer11/norm'],
    ['mse', 'mae'],
    ['rmse', 'rmae'],
    ['acc', 'auc'],
    ['test_loss', 'best_loss'],
    ['train_loss', 'test_loss'],
    ['f1/boat', 'f1/goat'],
    ['precision', 'recall'],
    ['loss', 'val_loss'],
    ['conv1_1', 'conv11'],
    ['%', '#'],
  ])('%s is not near %s', (name, old) => {
    expect(nearness(name, old)).toBeUndefined();
  });

  test('property: of many old names one is found exactly where one is near', () => {
    const word = fc.constantFrom(
      'val',
      'vall',
      'recall',
      'recal',
      'layer1',
      'layer2',
      'layr1',
      'mse',
    );
    const separator = fc.constantFrom('_', '/', '-', '');
    const name = fc
      .array(fc.tuple(word, separator), { minLength: 1, maxLength: 3 })
      .map((parts) => parts.flat().join(''));
    fc.assert(
      fc.property(fc.array(name, { maxLength: 8 }), name, (olds, key) => {
        const names = new OldNames(olds);
        const near = names.near(key);
        if (olds.includes(key)) expect(near).toBeUndefined();
        else if (near === undefined)
          expect(olds.map((old) => nearness(key, old))).not.toContain('misspelt');
        else expect(nearness(key, near)).toBeDefined();
        if (near === undefined && !olds.includes(key))
          expect(olds.map((old) => nearness(key, old))).not.toContain('spelling');
      }),
      { numRuns: 500 },
    );
  });

  test('the edit distance by its examples', () => {
    expect(editDistance('kitten', 'sitting', 3)).toBe(3);
    expect(editDistance('kitten', 'sitting', 2)).toBeUndefined();
    expect(editDistance('ab', 'ba', 2)).toBe(1);
    expect(editDistance('', 'ab', 2)).toBe(2);
    // Optimal string alignment, not Damerau's: a swap with an insertion inside is three edits.
    expect(editDistance('ca', 'abc', 3)).toBe(3);
  });

  test('property: the distance is symmetric, 0 for equals alone, at most the longer length', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 8 });
    fc.assert(
      fc.property(text, text, (a, b) => {
        const most = Math.max(a.length, b.length);
        const distance = editDistance(a, b, most);
        expect(distance).toBe(editDistance(b, a, most));
        expect(distance === 0).toBe(a === b);
        expect(distance).toBeLessThanOrEqual(most);
        expect(distance).toBeGreaterThanOrEqual(Math.abs(a.length - b.length));
      }),
    );
  });
});
