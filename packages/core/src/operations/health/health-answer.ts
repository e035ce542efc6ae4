import { assertObject } from '../../check-options.ts';
import { encodeJson } from '../../json.ts';
import type { HealthReport } from './health-keeper.ts';

/** An answer for HTTP. */
export interface HealthAnswer {
  /** 200 where the platform is of use (HEALTHY, DEGRADED), 503 where it is not, or nobody knows. */
  readonly status: 200 | 503;
  readonly headers: Readonly<Record<string, string>>;
  /** JSON: the report. */
  readonly body: string;
}

/** What `/health` answers to a report. INVALID for what is no report. */
export function healthAnswer(report: HealthReport): HealthAnswer {
  assertObject(report, 'healthAnswer');
  const isOfUse = report.status === 'HEALTHY' || report.status === 'DEGRADED';
  return {
    status: isOfUse ? 200 : 503,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    body: encodeJson(report, 'the report'),
  };
}
