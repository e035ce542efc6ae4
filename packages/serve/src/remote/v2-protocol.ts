import { KeelsonError, type Tensor, type TensorSpec } from '@keelson/core';
import { tensorToBytes } from '../protocol/binary-tensors.ts';
import { datatypeFacts } from '../protocol/datatypes.ts';
import { readTensors } from '../protocol/infer-request.ts';
import { readJsonBody, readObject } from '../protocol/json-body.ts';
import { hasJsonForm, tensorToJson } from '../protocol/json-tensors.ts';
import { ModelFault } from '../runtimes/model-fault.ts';
import { outputTensor } from '../runtimes/output-tensor.ts';
import type { RemoteAnswer, RemoteCall } from './remote-http.ts';
import type { AskServer, RemoteModel, RemoteProtocol, RemoteRequest } from './remote-protocol.ts';
import { expectOk, jsonOf } from './server-answer.ts';

const headerLength = 'inference-header-content-length';

/** The Open Inference Protocol v2 over REST: Triton, MLServer, KServe, and this package itself. */
export class V2Protocol implements RemoteProtocol {
  readonly #model: RemoteModel;
  readonly #path: string;
  #binary: boolean;

  constructor(model: RemoteModel) {
    const { version, binary } = model.options;
    this.#model = model;
    const at = version === undefined ? '' : `/versions/${encodeURIComponent(version)}`;
    this.#path = `/v2/models/${encodeURIComponent(model.name)}${at}`;
    this.#binary = binary ?? false;
  }

  async learn(ask: AskServer): Promise<void> {
    const server = jsonOf(await ask({ method: 'GET', path: '/v2' }), 'GET /v2');
    const { extensions } = server;
    this.#binary =
      this.#model.options.binary ??
      (Array.isArray(extensions) && extensions.includes('binary_tensor_data'));
    const metadata = jsonOf(await ask({ method: 'GET', path: this.#path }), `GET ${this.#path}`);
    const { signature, name } = this.#model;
    for (const side of ['inputs', 'outputs'] as const) {
      const known = metadata[side];
      // Several servers know nothing of their models, and say so by empty lists.
      if (!Array.isArray(known) || known.length === 0) continue;
      for (const spec of signature[side]) assertKnown(name, side, spec, known);
    }
  }

  encode({ inputs, parameters, timeoutMs }: RemoteRequest): RemoteCall {
    const binaries: Uint8Array[] = [];
    const written = inputs.map((tensor) => {
      const head = `{"name":${JSON.stringify(tensor.name)},"shape":[${tensor.shape}],"datatype":"${tensor.datatype}"`;
      if (!this.#binary && hasJsonForm(tensor)) return `${head},"data":${tensorToJson(tensor)}}`;
      const bytes = tensorToBytes(tensor);
      binaries.push(bytes);
      return `${head},"parameters":{"binary_data_size":${bytes.byteLength}}}`;
    });
    const all = {
      ...parameters,
      // Triton's, in microseconds: a request whose answer nobody wants is not begun.
      timeout: Math.max(1, Math.round(timeoutMs * 1000)),
      ...(this.#binary ? { binary_data_output: true } : {}),
    };
    const json = `{"parameters":${JSON.stringify(all)},"inputs":[${written.join(',')}]}`;
    const call = { method: 'POST', path: `${this.#path}/infer` } as const;
    if (binaries.length === 0)
      return { ...call, headers: { 'content-type': 'application/json' }, body: json };
    const header = Buffer.from(json);
    return {
      ...call,
      headers: {
        'content-type': 'application/octet-stream',
        [headerLength]: String(header.byteLength),
      },
      body: Buffer.concat([header, ...binaries]),
    };
  }

  decode({ headers, bytes }: RemoteAnswer, rowCount: number): readonly Tensor[] {
    const given = headers[headerLength];
    const length = given === undefined ? bytes.byteLength : Number(given);
    if (!Number.isInteger(length) || length < 0 || length > bytes.byteLength) {
      throw new ModelFault(
        'FAILED',
        `The server's answer has a wrong Inference-Header-Content-Length.`,
      );
    }
    const answered = readJsonBody(bytes.subarray(0, length), (value, unsafe) =>
      readTensors(readObject(value, 'answer').outputs, bytes.subarray(length), 'outputs', unsafe),
    );
    const { outputs } = this.#model.signature;
    return outputs.map((spec) => {
      const isOnly = outputs.length === 1 && answered.length === 1;
      const tensor = isOnly ? answered[0] : answered.find(({ name }) => name === spec.name);
      if (tensor === undefined) {
        const names = answered.map(({ name }) => JSON.stringify(name)).join(', ');
        throw new ModelFault(
          'FAILED',
          `The server answered ${names}, and no output "${spec.name}".`,
        );
      }
      const { data, datatype } = tensor;
      if (datatype !== spec.datatype && datatypeFacts(datatype).kind === 'half') {
        const wanted = `the signature has ${spec.datatype}`;
        throw new ModelFault(
          'FAILED',
          `The server answered "${spec.name}" as ${datatype}; ${wanted}.`,
        );
      }
      return outputTensor(spec, { data, shape: shapeAs(spec, tensor.shape) }, rowCount);
    });
  }

  async readiness(ask: AskServer): Promise<string | undefined> {
    const { status } = await ask({ method: 'GET', path: `${this.#path}/ready` });
    return status === 200 ? undefined : `says ${status} to GET ${this.#path}/ready`;
  }

  async load(ask: AskServer): Promise<void> {
    await this.#control(ask, 'load');
  }

  async unload(ask: AskServer): Promise<void> {
    await this.#control(ask, 'unload');
  }

  async #control(ask: AskServer, action: 'load' | 'unload'): Promise<void> {
    const path = `/v2/repository/models/${encodeURIComponent(this.#model.name)}/${action}`;
    const headers = { 'content-type': 'application/json' };
    expectOk(await ask({ method: 'POST', path, headers, body: '{}' }), `POST ${path}`);
  }
}

/** `[n, 1]` and `[n]` are the same values. */
function shapeAs({ shape: wanted }: TensorSpec, shape: readonly number[]): readonly number[] {
  if (wanted.length + 1 === shape.length && shape.at(-1) === 1) return shape.slice(0, -1);
  if (wanted.length === shape.length + 1 && wanted.at(-1) === 1) return [...shape, 1];
  return shape;
}

function assertKnown(
  model: string,
  side: 'inputs' | 'outputs',
  spec: TensorSpec,
  known: readonly unknown[],
): void {
  const all = known as readonly KnownTensor[];
  const there = all.find(({ name }) => name === spec.name);
  if (there === undefined && all.length === 1 && side === 'outputs') return;
  const hasType = there !== undefined && (side === 'outputs' || there.datatype === spec.datatype);
  const fits = there !== undefined && fitsShape(spec, there.shape);
  if (hasType && fits) return;
  const [wanted, found] = hasType
    ? [`[${spec.shape}] for`, `it as [${String(there.shape)}]`]
    : [spec.datatype, there === undefined ? onlyOthers(all) : `it as ${String(there.datatype)}`];
  throw new KeelsonError(
    'INVALID',
    `The signature has ${wanted} ${JSON.stringify(spec.name)} among its ${side}; model ${model} of the inference server has ${found}.`,
  );
}

interface KnownTensor {
  readonly name?: unknown;
  readonly datatype?: unknown;
  readonly shape?: unknown;
}

function onlyOthers(all: readonly KnownTensor[]): string {
  return `only ${all.map(({ name }) => JSON.stringify(name)).join(', ')}`;
}

/** Whether no size contradicts the other's; servers differ in how many dimensions they tell of. */
function fitsShape({ shape }: TensorSpec, known: unknown): boolean {
  if (!Array.isArray(known) || known.length !== shape.length) return true;
  return shape.every((size, i) => {
    const there = Number(known[i]);
    return size === there || size < 0 || !(there >= 0);
  });
}
