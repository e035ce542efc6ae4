import type { Logger } from '@keelson/core';
import type { PgDatabase } from '../connection/pg-database.ts';
import type { PgNotification, PgPoolClient } from '../connection/pg-pool.ts';

const firstPauseMs = 100;
const longestPauseMs = 5_000;

/**
 * Hears of events by NOTIFY, on a connection of its own, which it opens again whenever it breaks. What
 * is said while it is away is lost: whoever waits must look by itself as well.
 */
export class EventListener {
  readonly #database: PgDatabase;
  readonly #onEvent: () => void;
  readonly #logger: Logger | undefined;
  #client: PgPoolClient | undefined;
  #state: 'idle' | 'connecting' | 'listening' | 'off' = 'idle';
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;

  /** `onEvent` is called for each message, and whenever messages may have been missed. */
  constructor(database: PgDatabase, onEvent: () => void, logger?: Logger) {
    this.#database = database;
    this.#onEvent = onEvent;
    this.#logger = logger;
  }

  /** Whether messages are heard now. */
  get listening(): boolean {
    return this.#state === 'listening';
  }

  /** Begins to listen, unless it does already; never rejects. */
  start(): void {
    if (this.#state !== 'idle') return;
    this.#state = 'connecting';
    void this.#connect();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#state = 'off';
    this.#drop(this.#client);
  }

  async #connect(): Promise<void> {
    let client: PgPoolClient | undefined;
    try {
      client = await this.#database.connectListener();
      if (client === undefined) {
        this.#state = 'off';
        return;
      }
      client.on('error', this.#onError);
      client.on('notification', this.#onNotification);
      await client.query({ text: `LISTEN "${channelOf(this.#database)}"` });
      client.unref?.();
    } catch (error) {
      this.#drop(client);
      this.#again(error);
      return;
    }
    if (this.#state === 'off') {
      this.#drop(client);
      return;
    }
    this.#client = client;
    this.#state = 'listening';
    this.#failures = 0;
    this.#onEvent();
  }

  readonly #onNotification = (message: PgNotification): void => {
    if (message.channel === channelOf(this.#database)) this.#onEvent();
  };

  readonly #onError = (error: Error): void => {
    this.#drop(this.#client);
    this.#again(error);
  };

  #again(error: unknown): void {
    if (this.#state === 'off' || this.#database.closed) return;
    const said = error instanceof Error ? error.message : String(error);
    this.#logger?.debug({ component: 'store-pg', said }, 'Listening for events is interrupted.');
    this.#state = 'connecting';
    this.#failures += 1;
    const longest = Math.min(longestPauseMs, firstPauseMs * 2 ** this.#failures);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => void this.#connect(), Math.random() * longest);
    this.#timer.unref();
  }

  #drop(client: PgPoolClient | undefined): void {
    if (client === undefined) return;
    if (client === this.#client) this.#client = undefined;
    client.removeListener('error', this.#onError);
    client.removeListener('notification', this.#onNotification);
    client.release(true);
  }
}

/** The channel on which the events of a platform are announced. */
export function channelOf(database: PgDatabase): string {
  return `keelson events ${database.schema}`;
}
