import { KeelsonError, type Tensor } from '@keelson/core';
import { tensorsOfJson } from './answer-values.ts';
import { rowTexts } from './json-inputs.ts';
import type { RemoteAnswer, RemoteCall } from './remote-http.ts';
import type { AskServer, RemoteModel, RemoteProtocol, RemoteRequest } from './remote-protocol.ts';
import { expectOk, jsonOf } from './server-answer.ts';

/**
 * TorchServe's REST API. Rows go as `{"instances": […]}`, which its `json` and `kserve` envelopes take apart; the
 * answer is `{"predictions": […]}` of these, or a bare list of a handler's own. Of several outputs, each row is an object.
 */
export class TorchServeProtocol implements RemoteProtocol {
  readonly #model: RemoteModel;
  readonly #name: string;
  readonly #version: string;

  constructor(model: RemoteModel) {
    const { version } = model.options;
    this.#model = model;
    this.#name = encodeURIComponent(model.name);
    this.#version = version === undefined ? '' : `/${encodeURIComponent(version)}`;
  }

  encode({ inputs, rowCount }: RemoteRequest): RemoteCall {
    return {
      method: 'POST',
      path: `/predictions/${this.#name}${this.#version}`,
      headers: { 'content-type': 'application/json' },
      body: `{"instances":[${rowTexts(inputs, rowCount).join(',')}]}`,
    };
  }

  decode({ bytes }: RemoteAnswer, rowCount: number): readonly Tensor[] {
    const { signature } = this.#model;
    return tensorsOfJson(bytes, signature, rowCount, (value, { name }) => {
      const rows = Array.isArray(value)
        ? value
        : (value as { readonly predictions?: unknown } | null)?.predictions;
      return columnOf(rows, name, signature.outputs.length === 1);
    });
  }

  async readiness(ask: AskServer): Promise<string | undefined> {
    const { status } = await ask({ method: 'GET', path: '/ping' });
    if (status !== 200) return `says ${status} to GET /ping`;
    if (this.#model.options.management === undefined) return undefined;
    const path = `/models/${this.#name}${this.#version}`;
    const answer = await ask({ method: 'GET', path }, 'management');
    if (answer.status !== 200) return `says ${answer.status} to GET ${path}`;
    const described: unknown = JSON.parse(answer.bytes.toString('utf8'));
    const workers = (described as { workers?: { status?: unknown }[] }[])[0]?.workers ?? [];
    return workers.some((worker) => worker.status === 'READY')
      ? undefined
      : `has no ready worker of ${this.#model.name}`;
  }

  async load(ask: AskServer): Promise<void> {
    const { archive } = this.#model.options;
    if (archive === undefined) {
      throw new KeelsonError('INVALID', 'To load a model, TorchServe needs the option archive.');
    }
    const query = new URLSearchParams({
      url: archive,
      model_name: this.#model.name,
      initial_workers: '1',
      synchronous: 'true',
    });
    const path = `/models?${query}`;
    const answer = await ask({ method: 'POST', path }, 'management');
    // It is there already.
    if (answer.status !== 409) expectOk(answer, `POST ${path}`);
  }

  async unload(ask: AskServer): Promise<void> {
    const path = `/models/${this.#name}${this.#version}`;
    const answer = await ask({ method: 'DELETE', path }, 'management');
    if (answer.status !== 404) jsonOf(answer, `DELETE ${path}`);
  }
}

/** The values of one output in rows that are objects, or are that output's when it is the only one. */
export function columnOf(rows: unknown, name: string, isOnly: boolean): unknown {
  if (!Array.isArray(rows)) return undefined;
  return rows.map((row: unknown) => {
    const isObject = typeof row === 'object' && row !== null && !Array.isArray(row);
    if (!isObject) return isOnly ? row : undefined;
    const fields = row as Readonly<Record<string, unknown>>;
    if (Object.hasOwn(fields, name)) return fields[name];
    const values = Object.values(fields);
    return isOnly && values.length === 1 ? values[0] : undefined;
  });
}
