import { KeelsonError } from '@keelson/core';
import { refusal } from '../protocol/refusal.ts';
import type { RemoteAnswer } from './remote-http.ts';

/** What a server said was wrong, shortened: the `error`, `message` or `detail` of its answer, or the answer. */
function saidIn({ bytes }: RemoteAnswer): string {
  const text = bytes.subarray(0, 4_000).toString('utf8');
  let said = text;
  try {
    const value = JSON.parse(text) as Readonly<Record<string, unknown>> | null;
    const found = value?.error ?? value?.message ?? value?.detail;
    if (found !== undefined) said = typeof found === 'string' ? found : JSON.stringify(found);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  const line = said.replaceAll(/\s+/g, ' ').trim();
  return line.length > 300 ? `${line.slice(0, 300)}…` : line;
}

/**
 * The error behind an answer to an inference whose status is no 200: INVALID (422) for inputs that the server refuses,
 * EXHAUSTED when it is overloaded, UNAVAILABLE when it, or what stands before it, is not there, else FAILED.
 */
export function errorOf(answer: RemoteAnswer, endpoint: string): KeelsonError {
  const { status } = answer;
  const said = saidIn(answer);
  const message = `The inference server at ${endpoint} answered ${status}${said === '' ? '' : `: ${said}`}`;
  if (status === 400 || status === 413 || status === 415 || status === 422) {
    return refusal(422, 'INVALID', message);
  }
  if (status === 429)
    return new KeelsonError('EXHAUSTED', message, { details: { retryAfterMs: 1000 } });
  if (status >= 502 && status <= 504) return new KeelsonError('UNAVAILABLE', message);
  return new KeelsonError('FAILED', message);
}

/** FAILED for an answer to something else than an inference whose status is no success. */
export function expectOk(answer: RemoteAnswer, what: string): void {
  if (answer.status >= 200 && answer.status < 300) return;
  throw new KeelsonError('FAILED', `${what} was answered with ${answer.status}: ${saidIn(answer)}`);
}

/** The object in such an answer. */
export function jsonOf(answer: RemoteAnswer, what: string): Readonly<Record<string, unknown>> {
  expectOk(answer, what);
  try {
    const value: unknown = JSON.parse(answer.bytes.toString('utf8'));
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new KeelsonError('FAILED', `${what} was answered with something else than a JSON object.`);
}
