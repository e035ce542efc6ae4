import type { ReplicaMessage } from './replica-messages.ts';
import type { ReplicaWords } from './replica-words.ts';

/** What comes from a host. */
export interface HostListener {
  onFrame(frame: ArrayBuffer): void;
  onMessage(message: ReplicaMessage): void;
  /** Called once, after all else, with how it ended, such as `ended with exit code 1`. */
  onExit(how: string, cause?: Error): void;
}

/** The thread or process of a replica, as its pool sees it. */
export interface ReplicaHost {
  readonly words: ReplicaWords;
  /** For messages. */
  readonly kind: 'thread' | 'process';
  post(frame: ArrayBuffer): void;
  /** Asks it to finish what it has, unload its model and end. */
  stop(): void;
  /**
   * Ends it at once, where that does no harm; otherwise asks it to end when it comes back. Answers which: a thread in
   * native code is abandoned.
   */
  end(): 'ended' | 'abandoned';
  /** Keeps the event loop alive, or no longer does. */
  ref(): void;
  unref(): void;
}

/** Starts a host; what it says from then on goes to `listener`. */
export type StartHost = (listener: HostListener) => ReplicaHost;
