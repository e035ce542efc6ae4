import { type HealthCheck, KeelsonError } from '@keelson/core';

/** A request whose right answer is known. */
export interface GoldenRequest {
  /** Where inference is served, such as the `url` of `serve()`. */
  readonly url: string;
  readonly deployment: string;
  /** The body of the request, as the Open Inference Protocol has it. */
  readonly request: unknown;
  /** Throws, saying why, when the answer is not right. */
  readonly expect: (answer: unknown) => void;
  /** 2,000 when left out. */
  readonly timeoutMs?: number;
  /** 60,000 when left out. */
  readonly intervalMs?: number;
}

/**
 * A check for `openPlatform({ caretakers: [{ component: 'serving', checks: [goldenRequest(…)] }] })`: asks a
 * deployment over HTTP as its callers do. It counts as the probe of serving in `serviceLevels()`. INVALID for
 * an address that is none.
 */
export function goldenRequest(golden: GoldenRequest): HealthCheck {
  const { url, deployment, request, expect, timeoutMs = 2_000, intervalMs = 60_000 } = golden;
  if (typeof url !== 'string' || !URL.canParse(url) || typeof deployment !== 'string') {
    throw new KeelsonError(
      'INVALID',
      'A golden request needs the url of a server and a deployment.',
    );
  }
  if (typeof expect !== 'function') {
    throw new KeelsonError(
      'INVALID',
      'A golden request needs expect(answer), which throws when it is wrong.',
    );
  }
  const address = new URL(`/v2/models/${encodeURIComponent(deployment)}/infer`, url);
  const body = JSON.stringify(request);
  return {
    ...{ name: `golden request of ${deployment}`, component: 'serving', kind: 'deep' },
    ...{ critical: false, intervalMs, timeoutMs, failureThreshold: 2, probes: 'serving' },
    async run(signal) {
      const headers = { 'content-type': 'application/json' };
      const response = await fetch(address, { method: 'POST', headers, body, signal });
      const text = await response.text();
      if (!response.ok) {
        const message = `It answers ${response.status}: ${text.slice(0, 500)}`;
        return { status: 'UNHEALTHY', message };
      }
      expect(JSON.parse(text));
      return { status: 'HEALTHY', message: 'The answer is right.' };
    },
  };
}
