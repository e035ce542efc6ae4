import type { StoredRecord } from '../../contracts/record.ts';
import type { JsonObject } from '../../json.ts';
import type { AlertSeverity } from '../rule.ts';

/** Something that went wrong, once for as long as it is open. */
export interface Alert {
  readonly id: string;
  readonly deploymentId: string;
  readonly deployment: string;
  readonly rule: string;
  /** The same for the same trouble. */
  readonly fingerprint: string;
  readonly severity: AlertSeverity;
  readonly state: 'FIRING' | 'RESOLVED';
  readonly firstAt: number;
  readonly lastAt: number;
  /** What, in words. */
  readonly summary: string;
  /** The verdict in full. */
  readonly evidence: JsonObject;
  readonly eventId: string;
  readonly correlationId: string;
  readonly resolution?: string;
  readonly revision: number;
}

/** An alert out of its record. */
export function alertFromRecord(record: StoredRecord): Alert {
  const c = record.columns;
  const body = record.body as unknown as Pick<
    Alert,
    'deployment' | 'summary' | 'evidence' | 'eventId' | 'correlationId' | 'resolution'
  >;
  return {
    ...body,
    id: record.id,
    deploymentId: c['deploymentId'] as string,
    rule: c['rule'] as string,
    fingerprint: c['fingerprint'] as string,
    severity: c['severity'] as AlertSeverity,
    state: c['state'] as Alert['state'],
    firstAt: c['firstAt'] as number,
    lastAt: c['lastAt'] as number,
    revision: record.revision,
  };
}
