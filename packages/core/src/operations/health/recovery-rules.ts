/** When a fault is mended by itself, and when people are told what to do: one row of the table. */
export interface RecoveryRule {
  /** The check that tells. */
  readonly check: string;
  /** What is wrong, in words. */
  readonly trigger: string;
  /** The fault must have lasted so long. */
  readonly afterMs: number;
  /** What is tried, by the names of recoveries. */
  readonly actions: readonly string[];
  /** People are told when the fault has lasted so long. */
  readonly escalateAfterMs: number;
  /** What they should do, in order. */
  readonly steps: readonly string[];
}

const minute = 60_000;
const hour = 60 * minute;

const awayRule: Omit<RecoveryRule, 'check'> = {
  trigger: 'The database has been away for three minutes.',
  afterMs: 3 * minute,
  actions: ['reset the pool'],
  escalateAfterMs: 10 * minute,
  steps: [
    'See whether the database server runs and takes connections from this host.',
    'See whether its address, user and password are still those that the platform was opened with.',
    'What was logged meanwhile waits in the spool of the platform’s directory: keep that disk from filling.',
  ],
};

/** Trigger, action and escalation of the faults that are known. */
export const recoveryRules: readonly RecoveryRule[] = [
  ...['database', 'postgres'].map((check) => ({
    ...awayRule,
    check,
  })),
  {
    check: 'disk',
    trigger: 'Less than a tenth of the disk is free.',
    afterMs: 0,
    actions: ['collect storage'],
    escalateAfterMs: 10 * minute,
    steps: [
      'Delete experiments and runs that nobody needs, then run operations.gc({ olderThanMs: 0 }).',
      'Enlarge the disk, or move artifacts to S3-compatible storage.',
    ],
  },
  {
    check: 'memory',
    trigger: 'This process has grown by half within an hour.',
    afterMs: 0,
    actions: [],
    escalateAfterMs: 10 * minute,
    steps: [
      'Take a heap snapshot (node --heapsnapshot-signal=SIGUSR2), and look for what grows.',
      'Replace the process; what it has acknowledged is durable.',
    ],
  },
  {
    check: 'stuck runs',
    trigger: 'Runs are open whose process is long gone.',
    afterMs: 0,
    actions: ['end stuck runs'],
    escalateAfterMs: hour,
    steps: ['See in the log why the runs could not be marked; call tracking.reap().'],
  },
  {
    check: 'subscriptions',
    trigger: 'Events wait that no process hands over.',
    afterMs: 0,
    actions: ['hand over events'],
    escalateAfterMs: 6 * hour,
    steps: [
      'Start a process that subscribes under the name and calls platform.start().',
      'Where the handler fails, see events.deadLetters() and the log.',
    ],
  },
  {
    check: 'overdue steps',
    trigger:
      'Steps of pipelines are due that no process takes, or are held by processes that are gone.',
    afterMs: 0,
    actions: ['take over steps'],
    escalateAfterMs: hour,
    steps: [
      'Start a process that adds the pipeline’s functions (pipelines.add) and calls platform.start().',
    ],
  },
  {
    check: 'stuck sagas',
    trigger: 'A saga can go neither on nor back, or no process drives it.',
    afterMs: 0,
    actions: ['drive sagas'],
    escalateAfterMs: hour,
    steps: [
      'See with operations.sagas.get(id) what its compensation failed with; mend that, then operations.sagas.retry(id).',
    ],
  },
  {
    check: 'stalled rollouts',
    trigger: 'A rollout is long past its next step.',
    afterMs: 0,
    actions: ['drive rollouts'],
    escalateAfterMs: hour,
    steps: ['See the rollout’s last decision and the log; roll back, or decide on it by hand.'],
  },
  {
    check: 'drift freshness',
    trigger: 'Monitors have not been evaluated for two hours.',
    afterMs: 0,
    actions: ['evaluate monitors'],
    escalateAfterMs: 6 * hour,
    steps: ['See in the log why evaluation fails; call monitoring.evaluate() by hand.'],
  },
];

/** The rule of a check; of checks that are not in the table, at once, and told after ten minutes. */
export function ruleOf(check: string): Omit<RecoveryRule, 'trigger' | 'actions'> {
  const rule = recoveryRules.find((each) => each.check === check);
  const steps = ['See the message of the check and the log lines of its correlation id.'];
  return rule ?? { check, afterMs: 0, escalateAfterMs: 10 * minute, steps };
}
