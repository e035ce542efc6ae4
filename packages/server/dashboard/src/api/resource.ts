import { type Signal, useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import type { WireEvent } from '../../../src/api/rows/event-rows.ts';
import { Refusal } from './client.ts';
import { liveness, onEvent } from './live.ts';

/** What is read of the platform: what it was the last time, and how it stands with reading it. */
export interface Resource<T> {
  readonly data: T | undefined;
  readonly error: Refusal | undefined;
  /** What is shown belongs to what was asked before. */
  readonly stale: boolean;
  reload(): void;
}

/** When a resource is read again. */
export interface Live {
  /** For which events, by the beginnings of their types, such as `run.`. */
  readonly on: readonly string[];
  /** Of those the ones that matter; all when left out. */
  matters?(event: WireEvent): boolean;
}

const leastMs = 500;
const pollMs = 10_000;

/**
 * Reads something, again when the key changes and when an event says that it has changed (twice a second at most).
 * What was read stays shown until the next is there; the answer to an older question never replaces a newer one.
 */
export function useResource<T>(
  key: string,
  read: (signal: AbortSignal) => Promise<T>,
  live?: Live,
): Resource<T> {
  const state = useSignal<{ key: string; data?: T; error?: Refusal }>({ key });
  const turn = useRef(0);
  const latest = useRef({ read, live });
  latest.current = { read, live };
  const load = useRef<() => void>(() => undefined);

  useEffect(() => {
    const controller = new AbortController();
    let timer: ReturnType<typeof setTimeout> | undefined;
    let lastAt = 0;
    const go = async (): Promise<void> => {
      turn.current += 1;
      const mine = turn.current;
      lastAt = Date.now();
      try {
        const data = await latest.current.read(controller.signal);
        if (mine === turn.current) state.value = { key, data };
      } catch (error) {
        if (controller.signal.aborted || mine !== turn.current) return;
        const kept =
          state.value.key === key && 'data' in state.value ? { data: state.value.data as T } : {};
        state.value = { key, ...kept, error: asRefusal(error) };
        // It comes back by itself: nobody need press a button for it.
        if ((error as Refusal).status === 0) schedule(3_000);
      }
    };
    const schedule = (ms: number): void => {
      timer ??= setTimeout(() => {
        timer = undefined;
        void go();
      }, ms);
    };
    load.current = () => void go();
    void go();
    const stop = onEvent((event) => {
      const { live } = latest.current;
      if (live === undefined || !live.on.some((each) => event.type.startsWith(each))) return;
      if (live.matters?.(event) === false) return;
      schedule(Math.max(50, leastMs - (Date.now() - lastAt)));
    });
    const poll = setInterval(() => {
      if (latest.current.live !== undefined && liveness.peek() === 'off' && !document.hidden)
        void go();
    }, pollMs);
    return () => {
      controller.abort();
      stop();
      clearTimeout(timer);
      clearInterval(poll);
    };
  }, [key]);

  const { data, error, key: of } = state.value;
  return { data, error, stale: of !== key, reload: () => load.current() };
}

/** What the person does: one at a time, with how it went. */
export function useAction(): {
  readonly busy: Signal<boolean>;
  readonly error: Signal<Refusal | undefined>;
  run(act: () => Promise<unknown>): Promise<boolean>;
} {
  const busy = useSignal(false);
  const error = useSignal<Refusal | undefined>(undefined);
  const run = async (act: () => Promise<unknown>): Promise<boolean> => {
    if (busy.value) return false;
    busy.value = true;
    error.value = undefined;
    try {
      await act();
      return true;
    } catch (cause) {
      error.value = asRefusal(cause);
      return false;
    } finally {
      busy.value = false;
    }
  };
  return { busy, error, run };
}

function asRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  return new Refusal(0, 'INTERNAL', error instanceof Error ? error.message : String(error));
}
