import { expect, test } from 'vitest';
import { isKeelsonError } from '../errors.ts';
import { assertNoClash, modelPath } from './model-path.ts';

test.each([
  'model.onnx',
  'variables/variables.data-00000-of-00001',
  'tokenizer/vocab 1.txt',
  'concept.bin',
  'auxiliary/com10.bin',
  '.gitattributes',
  'modèle.bin',
])('%j is a path of a version', (path) => {
  expect(modelPath(path)).toBe(path);
});

test.each([
  '../escape',
  'a/../../escape',
  '/etc/passwd',
  'C:/windows',
  'c:windows',
  'a\\b',
  'a\u0000b',
  'a/',
  './a',
  '',
  'a//b',
  'CON',
  'aux.bin',
  'x/NUL.tar.gz',
  'lpt1',
  'COM¹.txt',
  'a:stream',
  'a/b?.bin',
  'trailing.',
  'trailing ',
  'dir./x',
  'x'.repeat(256),
])('%j is refused', (path) => {
  expect(() => modelPath(path)).toThrow(expect.objectContaining({ code: 'INVALID' }));
});

test('decomposed letters become the composed ones', () => {
  expect(modelPath('mode\u0300le')).toBe('mod\u00e8le');
});

test.each([
  [['Model.bin', 'model.BIN']],
  [['a', 'a/b']],
  [['A', 'x', 'a/b/c']],
  [['Data/x', 'data/y']],
  [['ß.bin', 'SS.bin']],
  [['a', 'a']],
])('%j clash', (paths) => {
  try {
    assertNoClash(paths);
  } catch (error) {
    expect(isKeelsonError(error, 'INVALID')).toBe(true);
    for (const path of paths.filter((each) => each !== 'x')) {
      expect((error as Error).message).toContain(path);
    }
    return;
  }
  throw new Error('It was not refused.');
});

test('what only begins alike does not clash', () => {
  assertNoClash(['a', 'a.b', 'a b/c', 'ab/c', 'b/a', 'b/c/a', 'b/c.a']);
});
