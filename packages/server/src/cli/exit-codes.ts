/** What a script learns from how a command ends. `docs/command-line.md` has the same table. */
export const exitCodes = {
  /** Done. */
  ok: 0,
  /** Refused or failed: what was asked did not happen. */
  failed: 1,
  /** The command line, the configuration or an argument is wrong: the same again fails again. */
  usage: 2,
  /** Done, and what was looked at is not as it should be (`doctor`, `drift`, `verify`). */
  findings: 3,
  /** A store or server is away, busy or full: the same again may work later. */
  unavailable: 4,
  /** Ctrl-C. */
  interrupted: 130,
  /** Whoever read the output has gone (`keelson … | head`). */
  brokenPipe: 141,
  /** SIGTERM, where a command does not end in order by it. */
  terminated: 143,
} as const;

/** One of {@link exitCodes}; `run` passes on that of its script. */
export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** What each means, for people. */
export const exitCodeMeanings: readonly (readonly [code: number, meaning: string])[] = [
  [exitCodes.ok, 'Done'],
  [exitCodes.failed, 'Refused or failed: what was asked did not happen'],
  [
    exitCodes.usage,
    'The command line, the configuration or an argument is wrong: the same again fails again',
  ],
  [
    exitCodes.findings,
    'Done, and what was looked at is not as it should be (such as a problem that `doctor` found)',
  ],
  [exitCodes.unavailable, 'A store or server is away, busy or full: the same again may work later'],
  [exitCodes.interrupted, 'Ended by Ctrl-C'],
  [exitCodes.brokenPipe, 'Whoever read the output has gone, as in `keelson … | head`'],
  [exitCodes.terminated, 'Ended by SIGTERM'],
];

const transient = new Set(['UNAVAILABLE', 'TIMEOUT', 'EXHAUSTED']);
const wrong = new Set(['INVALID', 'SYNTAX']);

/** The exit code of a refusal with one of the codes of `docs/errors.md`. */
export function exitCodeOf(errorCode: string): ExitCode {
  if (wrong.has(errorCode)) return exitCodes.usage;
  return transient.has(errorCode) ? exitCodes.unavailable : exitCodes.failed;
}
