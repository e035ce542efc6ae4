import { pathToFileURL } from 'node:url';
import type { Json, ModelSignature, Tensor, TensorData } from '@keelson/core';
import { compileRows } from '../protocol/rows.ts';
import { ModelFault, messageOf } from './model-fault.ts';
import { modelFile } from './model-files.ts';
import type { ModelManifest } from './model-manifest.ts';
import { outputTensor } from './output-tensor.ts';
import { assertOptions } from './runtime-options.ts';
import type { ModelRequest, TensorModel } from './tensor-model.ts';
import { asTexts } from './texts.ts';

/** One input as a model gets it: row-major data with its shape, columns as the signature names them. */
export interface ModelInput {
  readonly name: string;
  readonly datatype: Tensor['datatype'];
  readonly shape: readonly number[];
  readonly data: TensorData;
  readonly columns: readonly string[] | undefined;
}

/** What a model may know of a call beside its inputs. */
export interface ModelContext {
  readonly rowCount: number;
  /** The caller's parameters, but those meant for the server (`at`, `binary_data_output`). */
  readonly parameters: Readonly<Record<string, Json>>;
  /** The inputs row by row, as objects by column name (or input name); made on the first call. */
  rows(): readonly Readonly<Record<string, Json>>[];
}

/**
 * One output: a flat list or typed array in row-major order, nested lists, or either with its shape. It has a row for
 * each input row.
 */
export type ModelOutput =
  | ArrayLike<unknown>
  | { readonly shape: readonly number[]; readonly data: ArrayLike<unknown> };

/** A model in JavaScript. */
export interface JavaScriptModel {
  /** Answers every output of the signature, by name, with as many rows as the inputs have. */
  predict(
    inputs: Readonly<Record<string, ModelInput>>,
    context: ModelContext,
  ): Readonly<Record<string, ModelOutput>> | Promise<Readonly<Record<string, ModelOutput>>>;
  /** Called once before the replica stops. */
  unload?(): void | Promise<void>;
}

/**
 * What the ES module of a model directory exports (`model.mjs`, or the file that `keelson-model.json` names). It
 * stands alone: it may import what Node has and what lies beside it, such as JSON weights in `directory`.
 */
export interface JavaScriptModelModule {
  load(directory: string): JavaScriptModel | Promise<JavaScriptModel>;
}

let imports = 0;

/** Loads the module of a directory. ModelFault (FAILED), naming the file and what is wrong with it. */
export async function loadJavaScriptModel(request: ModelRequest): Promise<TensorModel> {
  const { directory, signature, manifest, options } = request;
  assertOptions('javascript', options, {});
  const model = await loadModule(directory, manifest.module);
  return new SignedModel(model, signature, manifest);
}

async function loadModule(directory: string, file: string): Promise<JavaScriptModel> {
  const path = await modelFile(directory, file);
  let module: Partial<JavaScriptModelModule>;
  try {
    // The query makes a fresh module where several are loaded into one thread.
    imports += 1;
    module = (await import(
      `${pathToFileURL(path).href}?load=${imports}`
    )) as Partial<JavaScriptModelModule>;
  } catch (error) {
    throw new ModelFault(
      'FAILED',
      `Model file ${file} cannot be imported: ${placeOf(error, file)}${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
  if (typeof module.load !== 'function') {
    throw new ModelFault('FAILED', `Model file ${file} exports no function "load".`);
  }
  let model: JavaScriptModel;
  try {
    model = await module.load(directory);
  } catch (error) {
    throw new ModelFault('FAILED', `load() of model file ${file} threw ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (typeof model?.predict !== 'function') {
    throw new ModelFault(
      'FAILED',
      `load() of model file ${file} answered no object with a function "predict".`,
    );
  }
  return model;
}

/** For a syntax error, `line N: `; the stack of one begins with file and line. */
function placeOf(error: unknown, file: string): string {
  if (!(error instanceof SyntaxError)) return '';
  const line = error.stack?.split('\n')[0]?.match(/:(\d+)$/)?.[1];
  return line === undefined ? '' : `${file}:${line}: `;
}

class SignedModel implements TensorModel {
  readonly #model: JavaScriptModel;
  readonly #signature: ModelSignature;
  readonly #texts: boolean;
  readonly #rows: ReturnType<typeof compileRows>;

  constructor(model: JavaScriptModel, signature: ModelSignature, manifest: ModelManifest) {
    this.#model = model;
    this.#signature = signature;
    this.#texts = manifest.bytes === 'text';
    this.#rows = compileRows(signature.inputs);
  }

  predict(
    tensors: readonly Tensor[],
    rowCount: number,
    parameters: Readonly<Record<string, Json>>,
  ): readonly Tensor[] | Promise<readonly Tensor[]> {
    const inputs: Record<string, ModelInput> = Object.create(null);
    const given = tensors.map((tensor) => this.#prepare(tensor));
    given.forEach((tensor, i) => {
      inputs[tensor.name] = { ...tensor, columns: this.#signature.inputs[i]?.columns };
    });
    let rows: Record<string, Json>[] | undefined;
    const context: ModelContext = {
      rowCount,
      parameters,
      rows: () => {
        rows ??= this.#rows(given, rowCount);
        return rows;
      },
    };
    const answer: unknown = this.#model.predict(inputs, context);
    // Any thenable will do; a plain object is answered without waiting for a microtask.
    return typeof (answer as { then?: unknown } | undefined)?.then === 'function'
      ? Promise.resolve(answer).then((outputs) => this.#outputs(outputs, rowCount))
      : this.#outputs(answer, rowCount);
  }

  async unload(): Promise<void> {
    await this.#model.unload?.();
  }

  #prepare(tensor: Tensor): Tensor {
    if (tensor.datatype !== 'BYTES') return tensor;
    const data = tensor.data as readonly (string | Uint8Array)[];
    return { ...tensor, data: this.#texts ? asTexts(data, tensor.name) : data.map(asBytes) };
  }

  #outputs(answer: unknown, rowCount: number): readonly Tensor[] {
    if (typeof answer !== 'object' || answer === null) {
      throw new ModelFault('FAILED', 'predict() of the model answered no object of outputs.');
    }
    for (const name of Object.keys(answer)) {
      if (!this.#signature.outputs.some((spec) => spec.name === name)) {
        throw new ModelFault(
          'FAILED',
          `The model answered an output "${name}" that its signature does not have.`,
        );
      }
    }
    const outputs = answer as Readonly<Record<string, ModelOutput | undefined>>;
    return this.#signature.outputs.map((spec) => outputTensor(spec, outputs[spec.name], rowCount));
  }
}

function asBytes(element: string | Uint8Array): Uint8Array {
  return typeof element === 'string' ? new TextEncoder().encode(element) : element;
}
