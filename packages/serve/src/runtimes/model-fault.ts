/** FAILED: the files; INVALID: what was asked of them; UNSUPPORTED: what is not installed, or not possible here. */
export type ModelFaultCode = 'FAILED' | 'INVALID' | 'UNSUPPORTED';

/**
 * What is wrong with a model, as a sentence that names the file: it crosses the thread boundary as text and
 * becomes a KeelsonError with this code on the other side. Kept apart so that replica threads start
 * without loading the whole of core.
 */
export class ModelFault extends Error {
  override readonly name = 'ModelFault';
  readonly code: ModelFaultCode;

  constructor(code: ModelFaultCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The message of whatever was thrown, shortened. */
export function messageOf(error: unknown): string {
  const text =
    error instanceof Error ? `${error.name}: ${error.message}` : `thrown value ${String(error)}`;
  return text.length > 500 ? `${text.slice(0, 500)}…` : text;
}
