import {
  isSpanContextValid,
  ProxyTracerProvider,
  type SpanContext,
  trace,
} from '@opentelemetry/api';

/** What the API answers where no SDK was set. */
const nobody: unknown = new ProxyTracerProvider().getDelegate();

/** Whether somebody listens: an OpenTelemetry SDK is set. */
export function isTracing(): boolean {
  const provider = trace.getTracerProvider() as Partial<ProxyTracerProvider>;
  return provider.getDelegate === undefined || provider.getDelegate() !== nobody;
}

/** The span that this call runs in; none where nobody listens. */
export function activeSpan(): SpanContext | undefined {
  if (!isTracing()) return undefined;
  const context = trace.getActiveSpan()?.spanContext();
  return context !== undefined && isSpanContextValid(context) ? context : undefined;
}

/** Spans by what they emitted and by their correlation; the newest so many. */
const remembered = new Map<string, SpanContext>();
const maxRemembered = 10_000;

/** Remembers the span behind an event's or a correlation's id, for what follows from it in this process. */
export function rememberSpan(id: string, span: SpanContext): void {
  if (remembered.has(id)) return;
  if (remembered.size >= maxRemembered) {
    for (const oldest of remembered.keys()) {
      remembered.delete(oldest);
      break;
    }
  }
  remembered.set(id, span);
}

/** The span that was remembered for the first of the ids that has one. */
export function rememberedSpan(...ids: readonly (string | undefined)[]): SpanContext | undefined {
  for (const id of ids) {
    const span = id === undefined ? undefined : remembered.get(id);
    if (span !== undefined) return span;
  }
  return undefined;
}
