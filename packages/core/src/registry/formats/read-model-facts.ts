import type { ModelFacts, ModelFiles, ModelFormatReader } from '../../contracts/model-format.ts';
import { checkedFiles } from './checked-files.ts';
import { javascriptFormat } from './javascript-format.ts';
import { mlflowFormat } from './mlflow-format.ts';
import { onnxFormat } from './onnx-format.ts';
import { pickleFormat } from './pickle-format.ts';
import { pytorchFormat } from './pytorch-format.ts';
import { safetensorsFormat } from './safetensors-format.ts';
import { savedModelFormat } from './saved-model-format.ts';
import { tfjsFormat } from './tfjs-format.ts';
import { xgboostFormat } from './xgboost-format.ts';

const plainFormats: readonly ModelFormatReader[] = [
  onnxFormat,
  savedModelFormat,
  tfjsFormat,
  xgboostFormat,
  pytorchFormat,
  pickleFormat,
  safetensorsFormat,
  javascriptFormat,
];

/** The formats that are known without further readers, in the order in which they are asked. */
export const modelFormats: readonly ModelFormatReader[] = [
  mlflowFormat(plainFormats),
  ...plainFormats,
];

/**
 * What the files of a model tell of it, by the first reader that knows their format: `readers` of one's own are
 * asked before those built in. `undefined` when none knows it. CORRUPT for damaged files and INVALID for others that
 * cannot be taken, naming file and fault.
 */
export async function readModelFacts(
  files: ModelFiles,
  readers: readonly ModelFormatReader[] = [],
): Promise<ModelFacts | undefined> {
  const checked = checkedFiles(files);
  for (const reader of [...readers, ...modelFormats]) {
    if (await reader.detect(checked)) return reader.read(checked);
  }
  return undefined;
}
