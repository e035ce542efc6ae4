import type { StoredEvent } from '../../contracts/event.ts';
import type { Scope } from '../../contracts/scope.ts';
import type { Events } from '../../events/events.ts';
import type { EventHandler } from '../../events/subscription.ts';
import { inSpan, type SpanOptions } from '../../events/tracing.ts';
import type { Metrics } from './metrics.ts';

/** Events whose handlers are counted (how they end, how long they take, how late they begin) and traced. */
export function meteredEvents(
  scope: Pick<Scope, 'clock'>,
  events: Events,
  metrics: Metrics,
): Events {
  const metered =
    (name: string, handler: EventHandler): EventHandler =>
    async (event, context) => {
      const startedAt = performance.now();
      const delayMs = Math.max(0, scope.clock.now() - event.at);
      metrics.observe('keelson_event_delivery_delay_seconds', [name], delayMs / 1000);
      try {
        await inSpan(`process ${event.type}`, spanOf(name, event), async () =>
          handler(event, context),
        );
        metrics.add('keelson_event_handlings_total', [name, 'handled']);
      } catch (error) {
        metrics.add('keelson_event_handlings_total', [name, 'failed']);
        throw error;
      } finally {
        const seconds = (performance.now() - startedAt) / 1000;
        metrics.observe('keelson_event_handling_duration_seconds', [name], seconds);
      }
    };
  return {
    ...events,
    get loops() {
      return events.loops;
    },
    subscribe: (name, options, handler) =>
      // What is no function is refused where the rest is.
      events.subscribe(
        name,
        options,
        typeof handler === 'function' ? metered(name, handler) : handler,
      ),
  };
}

function spanOf(subscription: string, event: StoredEvent): SpanOptions {
  return {
    kind: 'consumer',
    attributes: {
      'messaging.system': 'keelson',
      'messaging.operation.type': 'process',
      'messaging.consumer.group.name': subscription,
      'messaging.message.id': event.id,
      'keelson.event.subject': event.subject,
    },
  };
}
