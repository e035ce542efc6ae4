import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { findPython } from './python/interpreter.ts';

const python = findPython();

test.skipIf(python === undefined)(
  'the example fronts MLServer, answers by its rule while it is gone, and finds it again',
  async () => {
    const main = fileURLToPath(
      new URL('../../../examples/22-fronting-mlserver/main.ts', import.meta.url),
    );
    const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, main], {
      env: { ...process.env, KEELSON_PYTHON: python },
    });
    expect(stdout.trim().split('\n')).toEqual([
      'with MLServer: 200 by 1.1.0',
      'without: 200 by 1.0.0',
      'with it again: 200 by 1.1.0',
    ]);
  },
  180_000,
);
