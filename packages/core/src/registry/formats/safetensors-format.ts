import type { ModelFiles, ModelFormat, ModelFormatReader } from '../../contracts/model-format.ts';
import type { JsonObject } from '../../json.ts';
import { FileWindow } from './file-window.ts';
import { damaged, refused } from './model-fault.ts';
import { decodeUtf8, objectIn, parseJson, textIn } from './text-file.ts';

const maxHeader = 32 << 20;
const maxCandidates = 1_000;
const formats: Readonly<Record<string, ModelFormat>> = { pt: 'PYTORCH', tf: 'TENSORFLOW' };

/** Weights in safetensors files: how many tensors of which types, by their headers. They have no graph. */
export const safetensorsFormat: ModelFormatReader = {
  name: 'safetensors',
  async detect(files) {
    return (await findFiles(files)).length > 0;
  },
  async read(files) {
    const paths = await findFiles(files);
    const tensors = new Map<string, number>();
    let metadata: JsonObject = {};
    for (const path of paths) {
      const { __metadata__: about, ...entries } = await readHeader(new FileWindow(files, path));
      metadata = { ...metadata, ...objectIn(about) };
      for (const entry of Object.values(entries)) {
        const type = textIn(objectIn(entry)['dtype']) ?? 'unknown';
        tensors.set(type, (tensors.get(type) ?? 0) + 1);
      }
    }
    const made = textIn(metadata['format']);
    return {
      format: formats[made ?? ''] ?? 'CUSTOM',
      framework: { name: 'safetensors' },
      details: {
        files: [...paths],
        tensors: Object.fromEntries(tensors),
        ...(JSON.stringify(metadata).length > 65_536 ? {} : { metadata }),
      },
      notes: [
        'safetensors files hold weights alone, and do not say what the model takes and gives; give a signature.',
      ],
    };
  },
};

async function findFiles(files: ModelFiles): Promise<readonly string[]> {
  const named = files.files.filter(({ path }) => path.endsWith('.safetensors'));
  const found: string[] = named.map(({ path }) => path);
  if (found.length > 0) {
    if (found.length > maxCandidates) throw refused('list', 'has too many safetensors files');
    return found;
  }
  for (const { path, sizeBytes } of files.files.slice(0, 256)) {
    const head = Buffer.from(await files.read(path, { start: 0, end: Math.min(16, sizeBytes) }));
    if (head.length < 16) continue;
    const length = Number(head.readBigUInt64LE(0));
    if (
      length >= 2 &&
      length <= Math.min(maxHeader, sizeBytes - 8) &&
      /^\{\s*"/.test(head.toString('latin1', 8))
    )
      found.push(path);
  }
  return found;
}

async function readHeader(window: FileWindow): Promise<JsonObject> {
  const { path, sizeBytes } = window;
  const length = Number(Buffer.from(await window.bytes(0, 8)).readBigUInt64LE(0));
  if (length > maxHeader)
    throw refused(path, `has a header of ${length} bytes; at most ${maxHeader} are read`);
  const header = parseJson(decodeUtf8(await window.bytes(8, 8 + length), path), path, 'its header');
  let end = 0;
  for (const [name, entry] of Object.entries(objectIn(header))) {
    if (name === '__metadata__') continue;
    const { data_offsets: offsets } = objectIn(entry);
    const stop: unknown = Array.isArray(offsets) ? offsets[1] : undefined;
    if (typeof stop !== 'number')
      throw damaged(path, `does not say where ${JSON.stringify(name)} lies`);
    end = Math.max(end, stop);
  }
  if (8 + length + end > sizeBytes)
    throw damaged(
      path,
      `is cut off: its tensors should reach to ${8 + length + end}, and it ends at ${sizeBytes}`,
    );
  return objectIn(header);
}
