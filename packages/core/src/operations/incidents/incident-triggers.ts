import type { StoredEvent } from '../../contracts/event.ts';
import type { Severity } from '../../contracts/ports.ts';

/** What an event opens. */
export interface Opening {
  readonly title: string;
  readonly severity: Severity;
  readonly concerns?: string;
  /** The name of the deployment that it is of. */
  readonly deployment?: string;
}

/** The events that may open an incident: rollbacks, failed recoveries, grave alerts. */
export const triggerTypes = [
  'deployment.rolling_back',
  'deployment.rolled_back',
  'recovery.manual_required',
  'alert.triggered',
  'drift.detected',
] as const;

/** What the event opens; nothing where it is not grave enough. */
export function openingOf({ type, payload }: StoredEvent): Opening | undefined {
  const text = (field: string): string => String(payload[field] ?? '');
  const ofDeployment = {
    concerns: `deployment:${text('deployment')}`,
    deployment: text('deployment'),
  };
  switch (type) {
    case 'deployment.rolling_back':
    case 'deployment.rolled_back':
      return {
        title: `${text('deployment')} was rolled back: ${text('reason')}`,
        severity: 'CRITICAL',
        ...ofDeployment,
      };
    case 'recovery.manual_required':
      return {
        title: `${text('check')} needs a person: ${text('message')}`,
        severity: 'CRITICAL',
        concerns: `component:${text('component')}`,
      };
    case 'alert.triggered':
    case 'drift.detected': {
      const severity = text('severity') as Severity;
      if (severity !== 'CRITICAL' && severity !== 'EMERGENCY') return undefined;
      const title = `${text('deployment')}: ${text('rule')}: ${text('summary')}`;
      return { title, severity, ...ofDeployment };
    }
    default:
      return undefined;
  }
}

const order: readonly Severity[] = ['INFO', 'WARNING', 'CRITICAL', 'EMERGENCY'];

/** The graver of two. */
export function graver(one: Severity, other: Severity): Severity {
  return order.indexOf(one) >= order.indexOf(other) ? one : other;
}
