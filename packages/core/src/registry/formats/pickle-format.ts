import { constants, gunzipSync, inflateSync } from 'node:zlib';
import type { ModelFiles, ModelFormatReader } from '../../contracts/model-format.ts';
import { FileWindow } from './file-window.ts';
import { damaged, refused } from './model-fault.ts';
import { type PickleScan, scanPickle, sklearnVersionIn } from './pickle-scan.ts';

/**
 * Pickled models (pickle, cloudpickle, joblib), of scikit-learn and others: which classes they would import, told from
 * their operations. Nothing is loaded or run.
 */
export const pickleFormat: ModelFormatReader = {
  name: 'pickle',
  async detect(files) {
    return (await findPickle(files)) !== undefined;
  },
  async read(files) {
    const found = await findPickle(files);
    if (found === undefined) throw refused('list', 'has no pickled model in it');
    const { path, scan, packed, head } = found;
    if (scan === undefined)
      throw damaged(
        path,
        'is named like a pickle and is none, or is packed in a way that is not read',
      );
    const owners = scan.globals.map((name) => name.split('.')[0] as string);
    const owner = owners.find((name) => !helpers.has(name)) ?? owners[0] ?? '';
    const isSklearn = owner === 'sklearn';
    const estimator = scan.globals.find((name) => name.startsWith('sklearn.'));
    const version = isSklearn
      ? (sklearnVersionIn(head) ?? (await versionAtEnd(files, path)))
      : undefined;
    return {
      format: isSklearn ? 'SKLEARN' : 'PICKLE',
      ...(owner === ''
        ? {}
        : {
            framework: {
              name: isSklearn ? 'scikit-learn' : owner,
              ...(version === undefined ? {} : { version }),
            },
          }),
      details: {
        file: path,
        protocol: scan.protocol,
        globals: [...scan.globals],
        ...(packed === undefined ? {} : { packed }),
        ...(isSklearn && estimator !== undefined ? { estimator } : {}),
      },
      notes: [
        'Pickled models are kept and hashed, never loaded; their files do not tell what they take and give.',
        ...(scan.complete ? [] : [`Only the beginning of ${path} was looked at.`]),
      ],
    };
  },
};

/** Packages that put objects together, and say nothing of what they are. */
const helpers: ReadonlySet<string> = new Set([
  '__builtin__',
  'builtins',
  '_codecs',
  'cloudpickle',
  'collections',
  'copy_reg',
  'copyreg',
  'functools',
  'joblib',
  'numpy',
  'types',
]);

interface FoundPickle {
  readonly path: string;
  readonly scan: PickleScan | undefined;
  readonly packed: string | undefined;
  readonly head: Uint8Array;
}

const maxCandidates = 256;
const headBytes = 4 << 20;
const tailBytes = 1 << 20;

async function findPickle(files: ModelFiles): Promise<FoundPickle | undefined> {
  const named = files.files.filter(({ path }) => /\.(pkl|pickle|joblib|cloudpickle)$/i.test(path));
  for (const { path } of [...named, ...files.files].slice(0, maxCandidates)) {
    const isNamed = named.some((file) => file.path === path);
    const window = new FileWindow(files, path);
    const start = await window.upTo(0, 4);
    const binary = start[0] === 0x80 && (start[1] as number) >= 2 && (start[1] as number) <= 5;
    if (!binary && !isNamed) continue;
    const { head, packed } = unpacked(await window.upTo(0, headBytes));
    const scan = scanPickle(head);
    if (scan !== undefined || isNamed) return { path, scan, packed, head };
  }
  return undefined;
}

const maxPacked = 65_536;

/** What joblib packs with zlib or gzip: the beginning of it, at most a thousandfold of what is read. */
function unpacked(bytes: Uint8Array): { readonly head: Uint8Array; readonly packed?: string } {
  const [first, second] = bytes;
  const isGzip = first === 0x1f && second === 0x8b;
  const isZlib = first === 0x78 && ((first << 8) | (second ?? 0)) % 31 === 0;
  if (!isGzip && !isZlib) return { head: bytes };
  const options = { finishFlush: constants.Z_SYNC_FLUSH, maxOutputLength: 128 << 20 };
  try {
    const part = bytes.subarray(0, maxPacked);
    const head = isGzip ? gunzipSync(part, options) : inflateSync(part, options);
    return { head, packed: isGzip ? 'gzip' : 'zlib' };
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    // It was no packed pickle, and is none unpacked.
    return { head: bytes };
  }
}

/** In joblib's files, arrays lie between the beginning of an estimator and its version. */
async function versionAtEnd(files: ModelFiles, path: string): Promise<string | undefined> {
  const window = new FileWindow(files, path);
  const start = Math.max(0, window.sizeBytes - tailBytes);
  return sklearnVersionIn(await window.bytes(start, window.sizeBytes));
}
