import { signal } from '@preact/signals';
import type { WireEvent } from '../../../src/api/rows/event-rows.ts';
import { addressOf } from './client.ts';
import { messages } from './messages.ts';
import { decode } from './wire.ts';

/** Whether changes are told as they happen. `off`: this person may not read events, so pages are read again now and then. */
export const liveness = signal<'connecting' | 'live' | 'cut' | 'off'>('connecting');

type Listener = (event: WireEvent) => void;
const listeners = new Set<Listener>();

/** Calls back for each event from now on; what it answers ends that. */
export function onEvent(listener: Listener): () => void {
  listeners.add(listener);
  start();
  return () => listeners.delete(listener);
}

let started = false;

function start(): void {
  if (started) return;
  started = true;
  void follow();
}

/** One stream for the page, taken up where it was cut. */
async function follow(): Promise<void> {
  let last: string | undefined;
  for (let waitMs = 500; ; waitMs = Math.min(waitMs * 2, 15_000)) {
    try {
      const response = await fetch(addressOf('events.stream', {}), {
        headers: last === undefined ? {} : { 'last-event-id': last },
        credentials: 'same-origin',
      });
      if (response.status === 401 || response.status === 403) {
        liveness.value = 'off';
        return;
      }
      if (response.ok && response.body !== null) {
        liveness.value = 'live';
        waitMs = 500;
        for await (const message of messages(response.body)) {
          last = message.id ?? last;
          const event = decode(message.data) as WireEvent;
          for (const listener of listeners) listener(event);
        }
      }
    } catch {
      // Cut; it is tried again below.
    }
    liveness.value = 'cut';
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}
