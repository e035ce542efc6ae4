import { Cron } from 'croner';
import { KeelsonError } from '../../errors.ts';

function assertTimeZone(timeZone: string): void {
  try {
    new Intl.DateTimeFormat('en', { timeZone });
  } catch (cause) {
    throw new KeelsonError(
      'INVALID',
      `There is no time zone ${JSON.stringify(timeZone)}; use a name of the IANA database, such as "Europe/Berlin" or "UTC".`,
      { cause },
    );
  }
}

/** Times by a cron expression, in a time zone. */
export class CronTimes {
  readonly #cron: Cron;

  /**
   * Five fields, or six with seconds first. INVALID, naming the expression, for one that is none, that never comes,
   * or an unknown time zone.
   */
  constructor(expression: string, timeZone = 'UTC') {
    assertTimeZone(timeZone);
    try {
      this.#cron = new Cron(expression, { timezone: timeZone, paused: true, mode: '5-or-6-parts' });
      if (this.#cron.nextRun() === null) throw new Error('no time ever matches it');
    } catch (cause) {
      const why = (cause as Error).message.replace(/^Cron\w*: /, '').replace(/\.+$/, '');
      throw new KeelsonError(
        'INVALID',
        `The schedule ${JSON.stringify(expression)} in ${timeZone} cannot be used: ${why}. Five fields (minute hour day month weekday), or six with seconds first, such as "0 6 * * 1-5".`,
        { cause },
      );
    }
  }

  /** The first time after `at`; undefined when there is none. */
  after(at: number): number | undefined {
    return this.#cron.nextRun(new Date(at))?.getTime();
  }

  /** The first `count` times after `at`. */
  next(count: number, at: number): readonly number[] {
    return this.#cron.nextRuns(count, new Date(at)).map((time) => time.getTime());
  }

  /** The last `count` times from `from` to `to`, both included, the earliest first. */
  lastBetween(from: number, to: number, count: number): readonly number[] {
    // Fires are whole seconds: the second of `to` counts.
    const reference = new Date(Math.floor(to / 1000) * 1000 + 1000);
    return this.#cron
      .previousRuns(count, reference)
      .map((time) => time.getTime())
      .filter((time) => time >= from && time <= to)
      .toSorted((a, b) => a - b);
  }
}
