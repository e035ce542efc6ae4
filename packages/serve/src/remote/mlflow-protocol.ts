import { KeelsonError, type Tensor } from '@keelson/core';
import { tensorsOfJson } from './answer-values.ts';
import { nestedText, plainTexts, rowTexts } from './json-inputs.ts';
import type { RemoteAnswer, RemoteCall } from './remote-http.ts';
import type { AskServer, RemoteModel, RemoteProtocol, RemoteRequest } from './remote-protocol.ts';
import { columnOf } from './torchserve-protocol.ts';

/**
 * MLflow's scoring server (`POST /invocations`). Inputs that are columns (one value a row, or tensors whose columns have
 * names) go as `dataframe_split`, others as `inputs`; the request's parameters as `params`.
 */
export class MlflowProtocol implements RemoteProtocol {
  readonly #model: RemoteModel;
  readonly #format: 'dataframe_split' | 'inputs' | 'instances';

  constructor(model: RemoteModel) {
    this.#model = model;
    const isTable = model.signature.inputs.every(
      ({ shape, columns }) => columns !== undefined || rowSize(shape) === 1,
    );
    this.#format = model.options.format ?? (isTable ? 'dataframe_split' : 'inputs');
  }

  encode({ inputs, rowCount, parameters }: RemoteRequest): RemoteCall {
    const params =
      Object.keys(parameters).length === 0 ? '' : `,"params":${JSON.stringify(parameters)}`;
    return {
      method: 'POST',
      path: '/invocations',
      headers: { 'content-type': 'application/json' },
      body: `{${this.#written(inputs, rowCount)}${params}}`,
    };
  }

  decode({ bytes }: RemoteAnswer, rowCount: number): readonly Tensor[] {
    const { signature } = this.#model;
    const isOnly = signature.outputs.length === 1;
    return tensorsOfJson(bytes, signature, rowCount, (value, { name }) => {
      const predictions = (value as { readonly predictions?: unknown } | null)?.predictions;
      if (Array.isArray(predictions)) return columnOf(predictions, name, isOnly);
      return (predictions as Readonly<Record<string, unknown>> | undefined)?.[name];
    });
  }

  async readiness(ask: AskServer): Promise<string | undefined> {
    const { status } = await ask({ method: 'GET', path: '/ping' });
    return status === 200 ? undefined : `says ${status} to GET /ping`;
  }

  load(): Promise<void> {
    return Promise.reject(noControl());
  }

  unload(): Promise<void> {
    return Promise.reject(noControl());
  }

  #written(inputs: readonly Tensor[], rowCount: number): string {
    if (this.#format === 'instances')
      return `"instances":[${rowTexts(inputs, rowCount).join(',')}]`;
    if (this.#format === 'inputs') {
      const all = inputs.map((tensor) => `${JSON.stringify(tensor.name)}:${nestedText(tensor)}`);
      return `"inputs":{${all.join(',')}}`;
    }
    const specs = this.#model.signature.inputs;
    const names = specs.flatMap(({ name, columns }) => columns ?? [name]);
    const columns = inputs.map((tensor) => ({
      texts: plainTexts(tensor),
      width: rowSize(tensor.shape),
    }));
    const rows = Array.from({ length: rowCount }, (_, row) => {
      const cells = columns.flatMap(({ texts, width }) =>
        texts.slice(row * width, (row + 1) * width),
      );
      // Pandas reads a missing number as such.
      return `[${cells.map((cell) => (cell === 'NaN' ? 'null' : cell)).join(',')}]`;
    });
    return `"dataframe_split":{"columns":${JSON.stringify(names)},"data":[${rows.join(',')}]}`;
  }
}

function rowSize(shape: readonly number[]): number {
  return shape.slice(1).reduce((size, d) => size * d, 1);
}

function noControl(): KeelsonError {
  return new KeelsonError(
    'UNSUPPORTED',
    "MLflow's scoring server serves the one model that it was started with: leave out the options load and unload.",
  );
}
