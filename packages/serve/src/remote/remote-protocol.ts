import type { Json, ModelSignature, Tensor } from '@keelson/core';
import type { RemoteAnswer, RemoteCall } from './remote-http.ts';
import type { RemoteOptions } from './remote-options.ts';

/** Asks the server; `management` asks its management address instead. Rejects as `RemoteHttp.call`. */
export type AskServer = (call: RemoteCall, where?: 'management') => Promise<RemoteAnswer>;

/** What is asked of a server. */
export interface RemoteRequest {
  readonly inputs: readonly Tensor[];
  readonly rowCount: number;
  readonly parameters: Readonly<Record<string, Json>>;
  /** Until the answer is worth nothing. */
  readonly timeoutMs: number;
}

/** The model as a server has it. */
export interface RemoteModel {
  /** What it is called there. */
  readonly name: string;
  readonly signature: ModelSignature;
  readonly options: RemoteOptions;
}

/** How one kind of inference server is spoken to about one model. */
export interface RemoteProtocol {
  encode(request: RemoteRequest): RemoteCall;
  /**
   * The outputs of an answer with status 200, in the signature's order. Throws ModelFault or KeelsonError where it is not
   * what the signature says, or has another number of rows.
   */
  decode(answer: RemoteAnswer, rowCount: number): readonly Tensor[];
  /** Why the model does not answer there; undefined when it does. Rejects as `ask`. */
  readiness(ask: AskServer): Promise<string | undefined>;
  /** Has the server load the model. UNSUPPORTED where it has no API for that. */
  load(ask: AskServer): Promise<void>;
  unload(ask: AskServer): Promise<void>;
  /** Learns what the server can, and holds the model's metadata against the signature. INVALID names what differs. */
  learn?(ask: AskServer): Promise<void>;
}
