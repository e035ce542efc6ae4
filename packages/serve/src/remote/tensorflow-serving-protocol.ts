import { KeelsonError, type Tensor } from '@keelson/core';
import { tensorsOfJson } from './answer-values.ts';
import { nestedText } from './json-inputs.ts';
import type { RemoteAnswer, RemoteCall } from './remote-http.ts';
import type { AskServer, RemoteModel, RemoteProtocol, RemoteRequest } from './remote-protocol.ts';
import { jsonOf } from './server-answer.ts';

/** TensorFlow Serving's REST API (`g3doc/api_rest.md`): columnar `inputs`, whole `outputs`. */
export class TensorFlowServingProtocol implements RemoteProtocol {
  readonly #model: RemoteModel;
  readonly #path: string;

  constructor(model: RemoteModel) {
    const { version } = model.options;
    this.#model = model;
    const at = version === undefined ? '' : `/versions/${encodeURIComponent(version)}`;
    this.#path = `/v1/models/${encodeURIComponent(model.name)}${at}`;
  }

  encode({ inputs }: RemoteRequest): RemoteCall {
    const { signatureName } = this.#model.options;
    const named =
      signatureName === undefined ? '' : `"signature_name":${JSON.stringify(signatureName)},`;
    const columns = inputs.map((tensor) => `${JSON.stringify(tensor.name)}:${nestedText(tensor)}`);
    return {
      method: 'POST',
      path: `${this.#path}:predict`,
      headers: { 'content-type': 'application/json' },
      body: `{${named}"inputs":{${columns.join(',')}}}`,
    };
  }

  decode({ bytes }: RemoteAnswer, rowCount: number): readonly Tensor[] {
    const { signature } = this.#model;
    const isOnly = signature.outputs.length === 1;
    return tensorsOfJson(bytes, signature, rowCount, (value, { name }) => {
      const { outputs } = value as { readonly outputs?: unknown };
      // The only output loses its name there.
      if (isOnly && Array.isArray(outputs)) return outputs;
      return (outputs as Readonly<Record<string, unknown>> | undefined)?.[name];
    });
  }

  async readiness(ask: AskServer): Promise<string | undefined> {
    const what = `GET ${this.#path}`;
    const answer = await ask({ method: 'GET', path: this.#path });
    if (answer.status !== 200) return `says ${answer.status} to ${what}`;
    const { model_version_status: versions } = jsonOf(answer, what);
    const states = (Array.isArray(versions) ? versions : []).map(
      (version: { readonly state?: unknown }) => String(version.state),
    );
    if (states.includes('AVAILABLE')) return undefined;
    return `has ${this.#model.name} as ${states.join(', ') || 'unknown'}`;
  }

  load(): Promise<void> {
    return Promise.reject(noControl());
  }

  unload(): Promise<void> {
    return Promise.reject(noControl());
  }
}

function noControl(): KeelsonError {
  return new KeelsonError(
    'UNSUPPORTED',
    'TensorFlow Serving loads what its model configuration names, and has no REST API for that: leave out the options load and unload.',
  );
}
