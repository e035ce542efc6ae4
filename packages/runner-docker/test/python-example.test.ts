import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { TestEngine } from './server/test-engine.ts';

let engine: TestEngine;
beforeAll(async () => {
  engine = await TestEngine.start();
  await engine.importPython('keelson-test:python');
}, 180_000);
afterAll(() => engine?.stop(), 60_000);

test('trains in a container, goes on from its checkpoint after a failure, and is cached by its image', async () => {
  const main = fileURLToPath(
    new URL('../../../examples/20-python-in-containers/main.ts', import.meta.url),
  );
  const { stdout } = await promisify(execFile)(process.execPath, [...process.execArgv, main], {
    env: {
      ...process.env,
      DOCKER_HOST: engine.host,
      KEELSON_PYTHON_IMAGE: 'keelson-test:python',
    },
  });
  expect(stdout).toMatch(/^COMPLETED \{ b: 1, loss: [\d.e-]+, w: 3 \}$/m);
  expect(stdout).toContain('stdout: goes on at epoch 20\n');
  expect(stdout).toContain('trained 40 epochs\n');
  expect(stdout).toMatch(/^attempt 2 on engine, exit code 0$/m);
  expect(stdout).toMatch(/^image sha256:[0-9a-f]{64}$/m);
  expect(stdout).toMatch(/same as step train of execution/);
}, 120_000);
