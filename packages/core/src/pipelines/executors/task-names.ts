import { KeelsonError } from '../../errors.ts';

/** The name as a part of a variable's: upper case, everything else than letters and digits as `_`. */
export function variableName(name: string): string {
  return name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_');
}

/** Variables for a task; refuses two that come out as one. */
export class TaskVariables {
  readonly values: Record<string, string> = {};
  readonly paths: Record<string, string> = {};
  readonly #step: string;

  constructor(step: string) {
    this.#step = step;
  }

  /** INVALID for a name that is taken. */
  set(name: string, value: string): void {
    this.#assertFree(name);
    this.values[name] = value;
  }

  /** One whose value is a path, which the task gets as it sees it. */
  setPath(name: string, path: string): void {
    this.#assertFree(name);
    this.paths[name] = path;
  }

  #assertFree(name: string): void {
    if (!Object.hasOwn(this.values, name) && !Object.hasOwn(this.paths, name)) return;
    throw new KeelsonError(
      'INVALID',
      `Step ${this.#step}: two inputs, outputs or parameters come out as the variable ${name}; rename one.`,
      { details: { variable: name } },
    );
  }
}
