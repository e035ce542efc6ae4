import { membersOf } from '../src/operations/access-guard.ts';

/** A method by its path, such as `operations.access.grant`, bound to what has it. */
export type MethodCall = (...args: readonly unknown[]) => unknown;

/** The methods of a service, and of the parts that it has; new ones come along by themselves. */
export function methodsBelow(
  service: string,
  methods: Readonly<Record<string, unknown>>,
): readonly (readonly [path: string, call: MethodCall])[] {
  return membersOf(methods).flatMap((name) => {
    const member = methods[name];
    const path = `${service}.${name}`;
    if (typeof member === 'function') {
      const call: MethodCall = (...args) => Reflect.apply(member, methods, args);
      return [[path, call] as const];
    }
    const isPart = typeof member === 'object' && member !== null && !Array.isArray(member);
    return isPart ? methodsBelow(path, member as Record<string, unknown>) : [];
  });
}
