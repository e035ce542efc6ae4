import type { ModelFacts, ModelFiles, ModelFormatReader } from '../../contracts/model-format.ts';
import { FileWindow } from './file-window.ts';
import { damaged, refused } from './model-fault.ts';
import { scanPickle } from './pickle-scan.ts';
import { decodeUtf8 } from './text-file.ts';
import { isZip, readZipDirectory, readZipEntry, type ZipEntry } from './zip-directory.ts';

/**
 * PyTorch's files: TorchScript, exported programs (`.pt2`), state dictionaries and pickled modules, told apart by what
 * is in the archive. Code and pickles in it are not run.
 */
export const pytorchFormat: ModelFormatReader = {
  name: 'pytorch',
  async detect(files) {
    return (await findModel(files)) !== undefined;
  },
  async read(files) {
    const found = await findModel(files);
    if (found === undefined) throw refused('list', 'has no PyTorch model in it');
    if (found.kind === 'legacy') return legacyFacts(found.path);
    const window = new FileWindow(files, found.path);
    if (!(await isZip(window)))
      throw damaged(
        found.path,
        'is named like a PyTorch model and is neither an archive nor a pickle',
      );
    return describe(window, await readZipDirectory(window));
  },
};

const maxCandidates = 256;
const named = /\.(pt|pth|pt2|ckpt|ptl)$/i;
/** The pickled number that files of PyTorch before 1.6 begin with. */
const legacyHead = '\u0080\u0002\u008a\nl\u00fc\u009cF\u00f9 j\u00a8P\u0019';

async function findModel(
  files: ModelFiles,
): Promise<{ readonly path: string; readonly kind: 'zip' | 'legacy' } | undefined> {
  const byName = files.files.filter(({ path }) => named.test(path));
  for (const { path } of [...byName, ...files.files].slice(0, maxCandidates)) {
    const window = new FileWindow(files, path);
    const head = Buffer.from(await window.upTo(0, legacyHead.length)).toString('latin1');
    if (head === legacyHead) return { path, kind: 'legacy' };
    if (named.test(path) && !/^\u0080/.test(head)) return { path, kind: 'zip' };
    // The directory of archives with other names says whether they are PyTorch's.
    if (
      head.startsWith('PK\u0003\u0004') &&
      /^[^/]+\/(data\.pkl|archive_format|\.format_version)/.test(await firstName(window))
    )
      return { path, kind: 'zip' };
  }
  return undefined;
}

/** The name of the first file in an archive, from before its content. */
async function firstName(window: FileWindow): Promise<string> {
  const header = Buffer.from(await window.upTo(0, 1024));
  return header.length < 30 ? '' : header.toString('latin1', 30, 30 + header.readUInt16LE(26));
}

const maxPickle = 16 << 20;

async function describe(window: FileWindow, entries: readonly ZipEntry[]): Promise<ModelFacts> {
  const { path } = window;
  const root = entries[0]?.name.split('/')[0] ?? '';
  const find = (name: string) => entries.find((entry) => entry.name === `${root}/${name}`);
  const has = (prefix: string) => entries.some(({ name }) => name.startsWith(`${root}/${prefix}`));
  const pickle = find('data.pkl');
  const kind =
    has('models/') || entries.some(({ name }) => name.endsWith('serialized_exported_program.json'))
      ? 'exported program'
      : find('constants.pkl') !== undefined && has('code/')
        ? 'TorchScript'
        : pickle === undefined
          ? undefined
          : 'pickled';
  if (kind === undefined)
    throw damaged(path, 'is an archive without what PyTorch writes: no data.pkl, and no program');
  const globals = pickle === undefined ? [] : await globalsOf(window, pickle);
  const version = find('version') ?? find('archive_version');
  const modules = globals.filter(
    (name) => !/^(torch\.(_utils|\w*Storage)|collections\.|torch\._tensor)/.test(name),
  );
  return {
    format: 'PYTORCH',
    framework: { name: 'pytorch' },
    details: {
      file: path,
      container:
        kind === 'pickled' ? (modules.length === 0 ? 'state dictionary' : 'pickled module') : kind,
      ...(version === undefined
        ? {}
        : {
            archiveVersion: decodeUtf8(await readZipEntry(window, version, 64), path)
              .trim()
              .slice(0, 20),
          }),
      entries: entries.length,
      tensorsBytes: entries
        .filter(({ name }) => /\/(data|constants|weights)\/[^/]*$/.test(name))
        .reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      ...(globals.length === 0 ? {} : { globals: [...globals] }),
    },
    notes: [
      `${path} does not say what the model takes and gives in a form that is read; give a signature.`,
      ...(kind === 'pickled' ? ['Pickled content is kept and hashed, never loaded.'] : []),
    ],
  };
}

async function globalsOf(window: FileWindow, pickle: ZipEntry): Promise<readonly string[]> {
  if (pickle.sizeBytes > maxPickle) return [];
  return scanPickle(await readZipEntry(window, pickle, maxPickle))?.globals ?? [];
}

function legacyFacts(path: string): ModelFacts {
  return {
    format: 'PYTORCH',
    framework: { name: 'pytorch' },
    details: { file: path, container: 'legacy pickle' },
    notes: [
      'The file is of PyTorch before 1.6; pickled content is kept and hashed, never loaded. Give a signature.',
    ],
  };
}
