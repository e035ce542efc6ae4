import { KeelsonError } from '../errors.ts';
import { assertText, storableText } from '../json.ts';

/** What an artifact is for. */
export type ArtifactType = 'MODEL' | 'DATASET' | 'PLOT' | 'CONFIG' | 'LOG' | 'OTHER';

const maxPathBytes = 1024;

/**
 * A logical artifact path in its one spelling: NFC, parts joined by `/`. INVALID for absolute paths,
 * `.` and `..` parts, empty parts, backslashes, control characters, more than 1,024 bytes.
 */
export function normaliseArtifactPath(path: string): string {
  const normal = assertText(path, 'An artifact path').normalize('NFC');
  const refuse = (why: string): never => {
    throw new KeelsonError(
      'INVALID',
      `Artifact path ${JSON.stringify(storableText(path, 100))} ${why}; use a relative path such as model/weights.bin.`,
      { details: { path } },
    );
  };
  if (normal === '') refuse('is empty');
  if (normal.startsWith('/') || /^[A-Za-z]:/.test(normal)) refuse('is absolute');
  if (normal.includes('\\')) refuse('contains a backslash');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: refusing them is the point
  if (/[\u0000-\u001f\u007f-\u009f]/.test(normal)) refuse('contains control characters');
  if (Buffer.byteLength(normal) > maxPathBytes) refuse('is longer than 1,024 bytes');
  for (const part of normal.split('/')) {
    if (part === '') refuse('has an empty part');
    if (part === '.' || part === '..') refuse(`has a ${part} part`);
  }
  return normal;
}

/**
 * `model.bin` → `model-1.bin`: the n-th other name of a path that is taken. A name that would be too
 * long loses characters before the number.
 */
export function suffixedPath(path: string, n: number): string {
  const slash = path.lastIndexOf('/');
  const dot = path.lastIndexOf('.');
  const hasEnding = dot > slash + 1 && Buffer.byteLength(path.slice(dot)) <= 100;
  const ending = hasEnding ? path.slice(dot) : '';
  const stem = [...path.slice(0, path.length - ending.length)];
  const tail = `-${n}${ending}`;
  while (Buffer.byteLength(stem.join('')) + Buffer.byteLength(tail) > maxPathBytes) stem.pop();
  return `${stem.join('')}${tail}`;
}

const mimeTypes: Readonly<Record<string, string>> = {
  json: 'application/json',
  txt: 'text/plain',
  log: 'text/plain',
  md: 'text/markdown',
  csv: 'text/csv',
  html: 'text/html',
  svg: 'image/svg+xml',
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  js: 'text/javascript',
  mjs: 'text/javascript',
  yaml: 'application/yaml',
  yml: 'application/yaml',
  onnx: 'application/octet-stream',
  parquet: 'application/vnd.apache.parquet',
};

/** The media type that a path's ending suggests. */
export function mimeTypeOf(path: string): string {
  const ending = /\.([A-Za-z0-9]+)$/.exec(path)?.[1]?.toLowerCase() ?? '';
  return Object.hasOwn(mimeTypes, ending) ? (mimeTypes[ending] ?? '') : 'application/octet-stream';
}

/** The artifact type that a path and media type suggest. */
export function artifactTypeOf(path: string, mimeType: string): ArtifactType {
  if (/^models?\//.test(path) || path.endsWith('.onnx')) return 'MODEL';
  if (mimeType.startsWith('image/')) return 'PLOT';
  if (/\.(csv|parquet)$/.test(path)) return 'DATASET';
  if (/\.(ya?ml|toml|ini)$/.test(path)) return 'CONFIG';
  if (path.endsWith('.log')) return 'LOG';
  return 'OTHER';
}
