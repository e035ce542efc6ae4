import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  artifactTypeOf,
  mimeTypeOf,
  normaliseArtifactPath,
  suffixedPath,
} from './artifact-path.ts';

describe('normaliseArtifactPath', () => {
  test.each([
    'model.bin',
    'model/checkpoint-final.bin',
    '.hidden',
    '...',
    'a b/ü/模型.onnx',
    '__proto__/x',
    '%2e%2e/x',
    'x'.repeat(1024),
  ])('%.50s stays', (path) => {
    expect(normaliseArtifactPath(path)).toBe(path);
  });

  test('is NFC: one spelling of one path', () => {
    expect(normaliseArtifactPath('u\u0308ber')).toBe('über');
  });

  test.each([
    ['', 'is empty'],
    ['/etc/passwd', 'is absolute'],
    ['C:\\secrets', 'is absolute'],
    ['c:x', 'is absolute'],
    ['a\\b', 'contains a backslash'],
    ['..', 'has a .. part'],
    ['../x', 'has a .. part'],
    ['a/../../x', 'has a .. part'],
    ['a/.', 'has a . part'],
    ['./a', 'has a . part'],
    ['a//b', 'has an empty part'],
    ['a/', 'has an empty part'],
    ['a\nb', 'contains control characters'],
    ['a\u007f', 'contains control characters'],
    ['a\u0085', 'contains control characters'],
    ['x'.repeat(1025), 'longer than 1,024 bytes'],
    ['ü'.repeat(513), 'longer than 1,024 bytes'],
    ['a\u0000', 'U+0000'],
    ['\ud800', 'lone surrogate'],
    [7 as unknown as string, 'must be text'],
  ])('%j is refused by name', (path, message) => {
    const call = (): unknown => normaliseArtifactPath(path);
    expect(call).toThrow(expect.objectContaining({ code: 'INVALID' }));
    expect(call).toThrow(message);
  });
});

describe('suffixedPath', () => {
  test.each([
    ['model.bin', 1, 'model-1.bin'],
    ['a/model.tar.gz', 12, 'a/model.tar-12.gz'],
    ['README', 1, 'README-1'],
    ['a.b/c', 2, 'a.b/c-2'],
    ['.env', 1, '.env-1'],
    ['a/.env', 1, 'a/.env-1'],
  ])('%s, %i: %s', (path, n, wanted) => {
    expect(suffixedPath(path, n)).toBe(wanted);
  });

  test('is itself a path that can be asked for, however long the path was', () => {
    const path = fc
      .tuple(
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1100 }),
        fc.constantFrom('', '.bin'),
      )
      .map(([stem, ending]) => `${stem.replace(/[/\\.\p{Cc}]/gu, 'x')}${ending}`.normalize('NFC'))
      .filter((p) => Buffer.byteLength(p) <= 1024 && !/^[A-Za-z]:/.test(p));
    fc.assert(
      fc.property(path, fc.integer({ min: 1, max: 100_000 }), (p, n) => {
        const suffixed = suffixedPath(p, n);
        expect(normaliseArtifactPath(suffixed).length).toBeGreaterThan(1);
        expect(suffixed).not.toBe(p);
      }),
      { numRuns: 300, verbose: 1 },
    );
    expect(suffixedPath(`${'x'.repeat(1020)}.bin`, 7)).toBe(`${'x'.repeat(1018)}-7.bin`);
  });
});

describe('what a path suggests', () => {
  test.each([
    ['a.json', 'application/json', 'OTHER'],
    ['model/weights.bin', 'application/octet-stream', 'MODEL'],
    ['x.onnx', 'application/octet-stream', 'MODEL'],
    ['plot.SVG', 'image/svg+xml', 'PLOT'],
    ['data.csv', 'text/csv', 'DATASET'],
    ['conf.yaml', 'application/yaml', 'CONFIG'],
    ['train.log', 'text/plain', 'LOG'],
    ['x.constructor', 'application/octet-stream', 'OTHER'],
  ])('%s', (path, mimeType, type) => {
    expect(mimeTypeOf(path)).toBe(mimeType);
    expect(artifactTypeOf(path, mimeType)).toBe(type);
  });
});
