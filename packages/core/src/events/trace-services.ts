import { isTracing } from './active-trace.ts';
import { inSpan } from './tracing.ts';

type Method = (...args: readonly unknown[]) => unknown;

/** The services, each call in a span `tracking.startRun` where an OpenTelemetry SDK is set. */
export function traceServices<S extends object>(services: S): S {
  const traced = Object.entries(services).map(([name, service]) => [
    name,
    trace(name, service as object),
  ]);
  return Object.fromEntries(traced) as S;
}

function trace<S extends object>(component: string, service: S): S {
  const properties = Object.getOwnPropertyDescriptors(service) as PropertyDescriptorMap;
  for (const [name, property] of Object.entries(properties)) {
    const value: unknown = property.value;
    if (typeof value === 'function') {
      property.value = traceMethod(`${component}.${name}`, service, value as Method);
    } else if (isPart(value)) {
      property.value = trace(`${component}.${name}`, value);
    }
  }
  return Object.create(Object.getPrototypeOf(service) as object | null, properties) as S;
}

/**
 * A service within a service, such as `operations.access`. What is of a class stays as it is: another object
 * has none of its private fields.
 */
function isPart(value: unknown): value is object {
  return (
    typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype
  );
}

function traceMethod(span: string, service: object, method: Method): Method {
  return (...args) => {
    if (!isTracing()) return Reflect.apply(method, service, args);
    return inSpan(span, {}, () => Reflect.apply(method, service, args) as unknown);
  };
}
