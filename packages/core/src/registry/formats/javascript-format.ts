import type { ModelFiles, ModelFormatReader } from '../../contracts/model-format.ts';
import { isPlainObject, type Json } from '../../json.ts';
import { damaged, refused } from './model-fault.ts';
import { directoryOf, siblingPath } from './model-paths.ts';
import { objectIn, parseJson, readText, textIn } from './text-file.ts';

const manifestName = 'keelson-model.json';
const maxManifest = 16 << 20;

/**
 * Models in JavaScript, as `@keelson/serve` runs them: an ES module `model.mjs`, or the one that
 * `keelson-model.json` names. The module is not imported; it does not say what the model takes.
 */
export const javascriptFormat: ModelFormatReader = {
  name: 'javascript',
  async detect(files) {
    return findModel(files) !== undefined;
  },
  async read(files) {
    const path = findModel(files);
    if (path === undefined) throw refused('list', 'has no model in JavaScript in it');
    const manifest = path.endsWith(manifestName) ? await readManifest(files, path) : {};
    const name = textIn(manifest['module']) ?? 'model.mjs';
    const module = siblingPath(path, name);
    const missing = module === undefined || !files.files.some((file) => file.path === module);
    return {
      format: 'JS',
      framework: { name: 'javascript' },
      details: { file: path, module: module ?? name, manifest: { ...manifest } },
      notes: [
        ...(missing ? [`The module ${JSON.stringify(name)} is missing.`] : []),
        'Models in JavaScript do not say what they take and give; give a signature.',
      ],
    };
  },
};

function findModel(files: ModelFiles): string | undefined {
  const paths = files.files.map(({ path }) => path);
  const named = (name: string) => paths.find((path) => path === `${directoryOf(path)}${name}`);
  return named(manifestName) ?? named('model.mjs');
}

async function readManifest(
  files: ModelFiles,
  path: string,
): Promise<Readonly<Record<string, Json>>> {
  const value = parseJson(await readText(files, path, maxManifest), path);
  if (!isPlainObject(value)) throw damaged(path, 'holds no object');
  // Inputs to warm up with may be long.
  const { warmUp, ...rest } = objectIn(value);
  return {
    ...rest,
    ...(warmUp === undefined ? {} : { warmUp: Array.isArray(warmUp) ? warmUp.length : warmUp }),
  };
}
