import type { ModelSignature } from '@keelson/core';
import { decodeInferRequest, type InferRequest } from '../protocol/infer-request.ts';
import { decodePredictRequest } from '../protocol/predict-v1.ts';
import { rawInferRequest } from '../protocol/raw-request.ts';
import { malformed, refusal } from '../protocol/refusal.ts';
import { headerOf, type RequestHeaders } from './exchange.ts';

/**
 * The inference that a body asks for; `signature` is that of the model, by which bodies are read that do not say
 * themselves what they are. INVALID (400) names the place and the expectation.
 */
export function readInference(
  protocol: 'v1' | 'v2',
  body: Uint8Array,
  headers: RequestHeaders,
  signature: () => ModelSignature | undefined,
): InferRequest {
  const headerLength = headerLengthOf(headers);
  if (protocol === 'v1') return decodePredictRequest(body, signature());
  if (headerLength === 0) return rawInferRequest(body, signature());
  return decodeInferRequest(body, headerLength);
}

/** EXHAUSTED (413), naming the input, for more rows than a request may have. */
export function assertRows(request: InferRequest, maxRows: number): void {
  for (const { name, shape } of request.inputs) {
    if ((shape[0] ?? 0) > maxRows) {
      throw refusal(
        413,
        'EXHAUSTED',
        `Input ${JSON.stringify(name.slice(0, 60))} has ${shape[0]} rows; a request may have ${maxRows}. Send several.`,
      );
    }
  }
}

function headerLengthOf(headers: RequestHeaders): number | undefined {
  const text = headerOf(headers, 'inference-header-content-length');
  if (text === undefined) return undefined;
  if (!/^\d{1,15}$/.test(text)) {
    throw malformed(
      'header Inference-Header-Content-Length',
      'a number of bytes',
      JSON.stringify(text.slice(0, 60)),
    );
  }
  return Number(text);
}
