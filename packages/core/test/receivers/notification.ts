import type { Notification } from '../../src/contracts/ports.ts';

/** A notification, with what a test says of it. */
export function notification(over: Partial<Notification> = {}): Notification {
  return {
    id: '0198c0de-0000-7000-8000-000000000050',
    type: 'alert.triggered',
    key: 'alert:0198c0de-0000-7000-8000-000000000040',
    state: 'OPEN',
    severity: 'CRITICAL',
    at: Date.UTC(2026, 0, 1),
    title: 'deployment:fraud-api: alert triggered',
    text: 'accuracy fell from 0.95 to 0.71',
    details: { deployment: 'fraud-api', rule: 'accuracy', threshold: 20 },
    correlationId: '0198c0de-0000-7000-8000-000000000001',
    ...over,
  };
}

/** Never aborted. */
export function unhurried(): AbortSignal {
  return new AbortController().signal;
}
