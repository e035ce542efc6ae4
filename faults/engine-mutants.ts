import { spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { FaultScenario } from './scenario.ts';

/** An engine that is wrong in one place, and the test that must notice it. */
interface EngineMutant {
  readonly name: string;
  readonly edits: readonly {
    /** Below `packages/core/src/pipelines`. */
    readonly file: string;
    readonly find: string;
    readonly replace: string;
  }[];
  readonly test: string;
  /** The names of its cases, as a regular expression. */
  readonly cases: string;
}

const mutants: readonly EngineMutant[] = [
  {
    name: 'fence ignored on completion',
    edits: [
      {
        file: 'changes/step-completion.ts',
        find: 'cachedFrom !== undefined;\n  return [\n    hold(claim),',
        replace: 'cachedFrom !== undefined;\n  claim.fence;\n  return [',
      },
    ],
    test: 'steps/step-claims.test.ts',
    cases: 'a result counts only while',
  },
  {
    name: 'attempt not raised',
    edits: [
      {
        file: 'changes/step-start.ts',
        find: 'const attempt = state.attempt + 1;\n  const lost',
        replace: 'const attempt = Math.max(1, state.attempt);\n  const lost',
      },
      {
        file: 'steps/start-attempt.ts',
        find: 'const attempt = state.attempt + 1;',
        replace: 'const attempt = Math.max(1, state.attempt);',
      },
    ],
    test: 'pipelines-crash.test.ts',
    cases: 'without patience it is taken over',
  },
  {
    name: 'reservations not given back',
    edits: [
      {
        file: 'changes/held-step.ts',
        find: 'return held.map((each)',
        replace: 'return held.slice(held.length).map((each)',
      },
    ],
    test: 'admission/admission.test.ts',
    cases: 'what a cancel, a failure and a retry end',
  },
  {
    name: 'a step waits only for the first of those that it depends on',
    edits: [
      {
        file: 'changes/step-creation.ts',
        find: '(made.waits ?? step.dependsOn.length)',
        replace: '(made.waits ?? Math.min(1, step.dependsOn.length))',
      },
      { file: 'changes/dependency-counts.ts', find: 'by: -1, min: 0 };', replace: 'by: -1 };' },
    ],
    test: 'shapes.test.ts',
    cases: 'diamonds',
  },
  {
    name: 'a fan-out is joined before its last item',
    edits: [
      {
        file: 'changes/step-start.ts',
        find: 'pendingDeps: items,',
        replace: 'pendingDeps: Math.max(0, items - 1),',
      },
      { file: 'changes/dependency-counts.ts', find: 'by: -1, min: 0 };', replace: 'by: -1 };' },
    ],
    test: 'flow.test.ts',
    cases: 'one task for each item',
  },
  {
    name: 'cancel does not reach the executor',
    edits: [
      {
        file: 'executors/external-steps.ts',
        find: "if (!leaves && !isKeelsonError(signal.reason, 'LOST')) {",
        replace: "if (!leaves && isKeelsonError(signal.reason, 'LOST')) {",
      },
    ],
    test: 'executors/external-steps.test.ts',
    cases: 'reaches the process and all that it has started',
  },
];

/** A test that is not over by then has failed: work that never ends is noticed too. */
const testMs = 90_000;
const root = fileURLToPath(new URL('..', import.meta.url));
const pipelines = join('packages', 'core', 'src', 'pipelines');

/** Mutants of the pipeline engine itself, where those of the store cannot show what a scenario misses. */
export const engineMutants: FaultScenario = {
  name: 'engine-mutants',
  sentence:
    'Pipeline engines that are wrong in one place each: the test of that promise must fail with every one.',
  async run({ store, tell }) {
    // The engine is the same on every store.
    if (store.name !== 'sqlite') return { faults: {}, invariants: 0 };
    const copy = await mkdtemp(join(tmpdir(), 'keelson-mutants-'));
    try {
      await copySources(copy);
      let caught = 0;
      for (const mutant of mutants) {
        tell(mutant.name);
        await judge(copy, mutant);
        caught += 1;
      }
      return { faults: { 'mutants caught': caught }, invariants: 0 };
    } finally {
      await rm(copy, { recursive: true, force: true });
    }
  },
};

async function judge(copy: string, mutant: EngineMutant): Promise<void> {
  const { name, edits } = mutant;
  const sound = await testIn(copy, mutant);
  if (sound.failed > 0 || sound.passed === 0) {
    throw new Error(`Without "${name}" its test does not pass:\n${sound.output}`);
  }
  const files = new Map<string, string>();
  for (const { file, find, replace } of edits) {
    const path = join(copy, pipelines, file);
    const text = await readFile(path, 'utf8');
    if (!files.has(path)) files.set(path, text);
    if (text.split(find).length !== 2) {
      throw new Error(`"${name}" finds its place ${text.split(find).length - 1} times in ${file}.`);
    }
    await writeFile(
      path,
      text.replace(find, () => replace),
    );
  }
  const { failed, output } = await testIn(copy, mutant);
  for (const [path, text] of files) await writeFile(path, text);
  if (failed === 0) throw new Error(`An engine with "${name}" was not noticed:\n${output}`);
}

async function testIn(
  copy: string,
  { test, cases }: EngineMutant,
): Promise<{ readonly passed: number; readonly failed: number; readonly output: string }> {
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const file = join(pipelines, test);
  const child = spawn(process.execPath, [vitest, 'run', '--root', copy, file, '-t', cases], {
    cwd: copy,
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, so that what a test has started ends with it.
    detached: true,
  });
  let hung = false;
  const timer = setTimeout(() => {
    hung = true;
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  }, testMs);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
    });
  }
  await new Promise((resolve) => child.once('close', resolve));
  clearTimeout(timer);
  if (hung)
    return { passed: 0, failed: 1, output: `${output}\nIt had not ended after ${testMs} ms.` };
  const [, passed, failed] = /(\d+) passed, (\d+) failed/.exec(output) ?? [];
  if (passed === undefined) throw new Error(`The tests of ${test} could not be run:\n${output}`);
  return { passed: Number(passed), failed: Number(failed), output };
}

async function copySources(copy: string): Promise<void> {
  const parts = ['package.json', 'tsconfig.json', 'vitest.config.ts', 'tools'];
  const packages = ['core', 'store-pg'].map((name) => join('packages', name));
  const filter = (from: string): boolean => !/[\\/](node_modules|dist)$/.test(from);
  for (const part of [...parts, ...packages]) {
    await cp(join(root, part), join(copy, part), { recursive: true, filter });
  }
  await symlink(join(root, 'node_modules'), join(copy, 'node_modules'), 'dir');
}
