// Everything that must hold before a change is merged, phase by phase; continuous integration
// runs the same. The last line is `N passed, N failed`: each test counts, and each other phase
// as one. A phase that found nothing to do has failed.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { npmCommand } from './npm-command.ts';
import { countTests, type TestReport } from './test-count.ts';
import { workspaceRoot } from './workspace-packages.ts';

interface Outcome {
  readonly passed: number;
  readonly failed: number;
}

type Phase = readonly [name: string, run: () => Outcome];

const temporary = mkdtempSync(join(tmpdir(), 'keelson-check-'));
process.on('exit', () => rmSync(temporary, { recursive: true, force: true }));

const phases: readonly Phase[] = [
  ['lock file', () => script('tools/lock-file.ts')],
  ['lint and format', () => script('node_modules/@biomejs/biome/bin/biome', 'check')],
  ['types', () => script('tools/types.ts')],
  ['tests', runTests],
  ['build', () => script('tools/build.ts')],
  ['packages', () => script('tools/package-checks.ts')],
  ['unused code', () => script('node_modules/knip/bin/knip.js', '--no-config-hints')],
  ...listExamples(),
];

const wanted = process.argv.slice(2);
const chosen = phases.filter(([name]) => wanted.length === 0 || wanted.includes(name));
const unknown = wanted.filter((name) => !phases.some(([known]) => known === name));
const total = { passed: 0, failed: unknown.length };
const times: string[] = unknown.map((name) => `FAILED  ${name}: there is no such phase`);
for (const [name, run] of chosen) {
  console.log(`\n── ${name}`);
  const startedAt = performance.now();
  const { passed, failed } = run();
  total.passed += passed;
  total.failed += failed;
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1).padStart(6);
  times.push(`${failed === 0 ? '    ok' : 'FAILED'}  ${seconds} s  ${name}`);
}
console.log(`\n${times.join('\n')}\n`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;

function script(path: string, ...args: readonly string[]): Outcome {
  return run(process.execPath, [path, ...args]);
}

function run(file: string, args: readonly string[], cwd = workspaceRoot): Outcome {
  const result = spawnSync(file, args, { cwd, stdio: 'inherit', timeout: 60 * 60_000 });
  const ended = result.error?.message ?? result.signal ?? `exit code ${result.status}`;
  if (result.status === 0) return { passed: 1, failed: 0 };
  console.error(`It ended with ${ended}.`);
  return { passed: 0, failed: 1 };
}

/** The README's own test command, once, with its counts also as a file. */
function runTests(): Outcome {
  const report = join(temporary, 'tests.json');
  const own = './tools/count-reporter.ts';
  const reporters = ['default', 'json', own].map((name) => `--reporter=${name}`);
  const options = [...reporters, `--outputFile.json=${report}`, '--allowOnly=false'];
  const [file, args] = npmCommand('test', '--silent', '--', ...options);
  const { failed: broken } = run(file, args);
  const counted = readReport(report);
  if (counted === undefined) return { passed: 0, failed: 1 };
  const { passed, failed, skipped } = countTests(counted);
  const leftOut = process.env.CI ? skipped : 0;
  if (leftOut > 0) console.error(`${leftOut} tests were left out, which counts as failed here.`);
  if (passed + failed === 0) console.error('No test ran.');
  const ranNothing = passed + failed === 0 || (broken > 0 && failed + leftOut === 0);
  return { passed, failed: failed + leftOut + (ranNothing ? 1 : 0) };
}

function readReport(path: string): TestReport | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as TestReport;
  } catch (cause) {
    console.error(`The tests wrote no report: ${String(cause)}`);
    return undefined;
  }
}

/** Each numbered example as a phase, run as a user would, in a directory of its own. */
function listExamples(): Phase[] {
  const directory = join(workspaceRoot, 'examples');
  const names = readdirSync(directory).filter((name) => /^\d\d-/.test(name));
  if (names.length === 0) return [['examples', () => ({ passed: 0, failed: 1 })]];
  return names.sort().map((name) => [
    `example ${name}`,
    () => {
      const main = join(directory, name, 'main.ts');
      const cwd = mkdtempSync(join(temporary, `${name}-`));
      return run(process.execPath, ['--conditions=keelson:source', main], cwd);
    },
  ]);
}
