// Everything that must hold before a change is merged, phase by phase; continuous integration
// runs the same. The last line is `N passed, N failed`: each test counts, and each other phase
// as one. A phase that found nothing to do has failed. Those after the tests run in two lanes, since each
// of them keeps one processor busy; what they print is printed when they have ended.
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keepCompiled } from './compile-cache.ts';
import { npmCommand } from './npm-command.ts';
import { countTests, type TestReport } from './test-count.ts';
import { workspaceRoot } from './workspace-packages.ts';

interface Outcome {
  readonly passed: number;
  readonly failed: number;
}

/** Prints to the terminal, or into what is printed when the phase has ended. */
type Output = 'terminal' | string[];

type Phase = readonly [name: string, run: (output: Output) => Outcome | Promise<Outcome>];

const biome = 'node_modules/@biomejs/biome/bin/biome';
const knip = 'node_modules/knip/bin/knip.js';

keepCompiled();
const temporary = mkdtempSync(join(tmpdir(), 'keelson-check-'));
process.on('exit', () => rmSync(temporary, { recursive: true, force: true }));

/** Examples that need a server, each with the test that starts one and runs it. */
const runByTests: Readonly<Record<string, string>> = {
  '20-python-in-containers': 'packages/runner-docker/test/python-example.test.ts',
  '22-fronting-mlserver': 'packages/serve/test/fronting-example.test.ts',
};

const inTurn: readonly Phase[] = [
  ['lock file', (output) => script(output, 'tools/lock-file.ts')],
  ['lint and format', (output) => script(output, biome, 'check')],
  ['types', (output) => script(output, 'tools/types.ts')],
  ['tests', runTests],
];
const lanes: readonly (readonly Phase[])[] = [
  [
    ['build', (output) => script(output, 'tools/build.ts')],
    ['packages', (output) => script(output, 'tools/package-checks.ts')],
    ['unused code', (output) => script(output, knip, '--no-config-hints')],
  ],
  listExamples(),
];
const phases = [...inTurn, ...lanes.flat()];

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !phases.some(([known]) => known === name));
const total = { passed: 0, failed: unknown.length };
const times: string[] = unknown.map((name) => `FAILED  ${name}: there is no such phase`);
for (const phase of chosenOf(inTurn)) await runPhase(phase, 'terminal');
await Promise.all(
  lanes.map(async (lane) => {
    for (const phase of chosenOf(lane)) await runPhase(phase, []);
  }),
);
console.log(`\n${times.join('\n')}\n`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed === 0 ? 0 : 1;

function chosenOf(some: readonly Phase[]): readonly Phase[] {
  return some.filter(([name]) => wanted.length === 0 || wanted.includes(name));
}

async function runPhase([name, runIt]: Phase, output: Output): Promise<void> {
  const title = `\n── ${name}`;
  if (output === 'terminal') console.log(title);
  const startedAt = performance.now();
  const { passed, failed } = await runIt(output);
  if (output !== 'terminal') console.log(`${title}\n${output.join('')}`);
  total.passed += passed;
  total.failed += failed;
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1).padStart(6);
  times.push(`${failed === 0 ? '    ok' : 'FAILED'}  ${seconds} s  ${name}`);
}

function script(output: Output, path: string, ...args: readonly string[]): Promise<Outcome> {
  return run(output, process.execPath, [path, ...args]);
}

async function run(
  output: Output,
  file: string,
  args: readonly string[],
  cwd = workspaceRoot,
): Promise<Outcome> {
  const stdio: StdioOptions = output === 'terminal' ? 'inherit' : ['ignore', 'pipe', 'pipe'];
  const child: ChildProcess = spawn(file, args, { cwd, stdio, timeout: 60 * 60_000 });
  if (output !== 'terminal') {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => output.push(text));
    }
  }
  const ended = await once(child, 'close').then(
    ([code, signal]) => (code === 0 ? undefined : `${signal ?? `exit code ${code}`}`),
    (error: Error) => error.message,
  );
  if (ended === undefined) return { passed: 1, failed: 0 };
  const said = `It ended with ${ended}.`;
  if (output === 'terminal') console.error(said);
  else output.push(said);
  return { passed: 0, failed: 1 };
}

/** The README's own test command, once, with its counts also as a file. */
async function runTests(output: Output): Promise<Outcome> {
  const report = join(temporary, 'tests.json');
  const own = './tools/count-reporter.ts';
  const reporters = ['default', 'json', own].map((name) => `--reporter=${name}`);
  const options = [...reporters, `--outputFile.json=${report}`, '--allowOnly=false'];
  const [file, args] = npmCommand('test', '--silent', '--', ...options);
  const { failed: broken } = await run(output, file, args);
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
  const here = names.filter((name) => !existsSync(join(workspaceRoot, runByTests[name] ?? '-')));
  return here.sort().map((name) => [
    `example ${name}`,
    (output) => {
      const main = join(directory, name, 'main.ts');
      const cwd = mkdtempSync(join(temporary, `${name}-`));
      return run(output, process.execPath, ['--conditions=keelson:source', main], cwd);
    },
  ]);
}
