import type { Json } from '@keelson/core';
import { ModelFault } from './model-fault.ts';

/** For each option of a runtime, whether a value is one of its values, and what they are, in words. */
export type KnownOptions = Readonly<
  Record<string, readonly [accepts: (value: Json) => boolean, expectation: string]>
>;

/** ModelFault (INVALID), naming the option, for one that is unknown or has a value that it does not take. */
export function assertOptions(
  runtime: string,
  options: Readonly<Record<string, Json>>,
  known: KnownOptions,
): void {
  for (const [name, value] of Object.entries(options)) {
    const option = Object.hasOwn(known, name) ? known[name] : undefined;
    if (option === undefined) {
      throw new ModelFault(
        'INVALID',
        `The runtime ${runtime} has no option "${name}"; known are ${['warmUp', ...Object.keys(known)].join(', ')}.`,
      );
    }
    const [accepts, expectation] = option;
    if (!accepts(value)) {
      throw new ModelFault(
        'INVALID',
        `Option "${name}" of the runtime ${runtime} must be ${expectation}, not ${JSON.stringify(value)}.`,
      );
    }
  }
}
