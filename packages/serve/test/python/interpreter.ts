import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/**
 * The Python interpreter that has what `requirements.txt` beside this file says: KEELSON_TEST_PYTHON, or the one that
 * `.ci/run` has put into its cache. Undefined, said loudly, where there is none; with `CI` set that throws.
 */
export function findPython(): string | undefined {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const path =
    process.env['KEELSON_TEST_PYTHON'] ?? join(cache, 'keelson-ci', 'python', 'bin', 'python');
  if (existsSync(path)) return path;
  const requirements = fileURLToPath(new URL('requirements.txt', import.meta.url));
  const message = `Inference clients and servers are missing: make a virtual environment (python3 -m venv DIR), install them (DIR/bin/pip install --no-deps -r ${requirements}), and set KEELSON_TEST_PYTHON to DIR/bin/python.`;
  if (process.env['CI']) throw new Error(message);
  console.error(
    `\n*** LEFT OUT: tests beside Python's inference clients and servers. ${message}\n`,
  );
  return undefined;
}

/** One check that a script of this directory made; `error` is null when it held. */
export interface ScriptCheck {
  readonly group: string;
  readonly name: string;
  readonly error: string | null;
}

/** Runs a script of this directory that prints its checks. Rejects when it ends otherwise than well. */
export async function runChecks(
  python: string,
  script: string,
  ...args: readonly string[]
): Promise<readonly ScriptCheck[]> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const { stdout } = await promisify(execFile)(python, [path, ...args], {
    timeout: 110_000,
    maxBuffer: 2 ** 26,
    env: { ...process.env, NO_PROXY: '127.0.0.1' },
  });
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line) as ScriptCheck);
}
