import type { Logger } from '@keelson/core';
import type { PgDatabase } from '../connection/pg-database.ts';
import { channelOf } from './event-listener.ts';

/** Messages of one process are at least so far apart. */
const betweenMs = 10;

/**
 * Tells other processes that there are events, after the commit that has them: NOTIFY inside a commit
 * makes all commits of the server wait for one another, the disk included. A message that is lost (with
 * the process, say) costs its waiters the time until they look by themselves.
 */
export class EventNotifier {
  readonly #database: PgDatabase;
  readonly #logger: Logger | undefined;
  #running: Promise<void> | undefined;
  #again = false;
  #closed = false;

  constructor(database: PgDatabase, logger?: Logger) {
    this.#database = database;
    this.#logger = logger;
  }

  /** Sends a message soon; never rejects. */
  notify(): void {
    if (this.#closed) return;
    if (this.#running === undefined) this.#running = this.#run();
    else this.#again = true;
  }

  /** Waits for the message that is being sent. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#running;
  }

  async #run(): Promise<void> {
    do {
      this.#again = false;
      try {
        await this.#database.read(
          // A message gives its transaction a number, and so a wait for the disk, which none is worth.
          "SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)",
          [channelOf(this.#database), ''],
        );
      } catch (error) {
        this.#logger?.debug({ component: 'store-pg', error }, 'Events could not be announced.');
      }
      if (!this.#closed) await new Promise((resolve) => setTimeout(resolve, betweenMs));
    } while (this.#again);
    this.#running = undefined;
  }
}
