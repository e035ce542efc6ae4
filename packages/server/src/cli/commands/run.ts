import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { basename, extname, resolve } from 'node:path';
import { KeelsonError, type Run, type Tracking, uuidV7 } from '@keelson/core';
import { variableOf } from '../../config/config-keys.ts';
import type { EffectiveConfig } from '../../config/effective-config.ts';
import { type Command, type CommandContext, defineCommand, UsageError } from '../command.ts';
import { exitCodes } from '../exit-codes.ts';

/** `keelson run`. */
export const command: Command = defineCommand({
  description:
    'A script of Node (.ts, .js) that opens a platform and begins a run gets the run that is made here: the first startRun or withRun joins it, in the experiment that the script names, or in --experiment. A script that begins none (Python, a shell script, a program) is a run too: its code state and how it ended are kept, and KEELSON_ACTIVE_RUN names it.\n\nExit code 0 completes the run, any other fails it, Ctrl-C ends it as KILLED; keelson run ends with the same code. What follows the script is handed to it untouched.\n\nThe script gets KEELSON_* variables by which openPlatform(await platformOptions(await loadConfig())) opens the same platform; openPlatform() does where it is a directory.',
  endsInOrder: true,
  positionals: {
    script: { summary: 'A file, or a program on the PATH' },
    arguments: { summary: 'Its arguments', verbatim: true },
  },
  options: {
    experiment: {
      type: 'text',
      short: 'e',
      placeholder: 'name',
      summary: 'Experiment of the run, whatever the script says',
    },
    name: { type: 'text', placeholder: 'name', summary: 'Name of the run' },
    tag: { type: 'text', placeholder: 'key=value', many: true, summary: 'A tag of the run' },
  },
  examples: [
    ['keelson run train.ts --epochs 20', 'The script gets --epochs 20'],
    ['keelson run --experiment churn train.py', 'Python'],
    ['keelson run --tag gpu=a100 -- make model', 'Any program'],
  ],
  async run(context) {
    const { positionals, options, platform, config, clock, out } = context;
    const tags = readTags(options.tag);
    const effective = await config();
    // First of all: a training whose run cannot be kept is not begun.
    const { tracking } = await platform({ create: true });
    const { file, args, isNode } = programOf(context, positionals.script);
    const id = uuidV7();
    const startedAt = clock.now();
    const about = {
      id,
      experiment: options.experiment ?? basename(positionals.script, extname(positionals.script)),
      ...(options.name === undefined ? {} : { name: options.name }),
      tags: { ...tags, 'keelson.script': positionals.script },
      startedAt,
    };
    if (!isNode) await tracking.startRun(about);
    const env = {
      ...variablesOf(effective, context.env),
      KEELSON_ACTIVE_RUN: id,
      ...(options.experiment === undefined
        ? {}
        : { KEELSON_ACTIVE_EXPERIMENT: options.experiment }),
    };
    const end = await watch(context, () =>
      spawn(file, [...args, ...positionals.arguments], {
        cwd: context.cwd,
        env,
        // One document on stdout: what the script prints goes beside it.
        stdio: ['inherit', out.json ? 2 : 'inherit', 'inherit'],
      }),
    );
    if ((await tracking.findRun(id)) === undefined) await tracking.startRun(about);
    else await describe(tracking, id, options.name, about.tags);
    const run = await settle(tracking, id, end, positionals.script);
    out.show({ run: { ...run }, exitCode: end.code, signal: end.signal ?? null }, (view) => {
      const why = run.statusReason === undefined ? '' : `: ${run.statusReason}`;
      out.note(`${view.style('bold', run.status)} run ${run.id} (${run.name})${why}`);
    });
    return end.code;
  },
});

/** How the script ended. */
interface End {
  readonly code: number;
  readonly signal: NodeJS.Signals | undefined;
  /** Whether it was told to. */
  readonly asked: boolean;
}

function programOf(
  { cwd, env }: Pick<CommandContext<never, never>, 'cwd' | 'env'>,
  script: string,
): { readonly file: string; readonly args: readonly string[]; readonly isNode: boolean } {
  const path = resolve(cwd, script);
  const extension = extname(script);
  const known = /^\.([mc]?[jt]s|py|sh)$/.test(extension);
  if (known && !existsSync(path)) {
    throw new KeelsonError('NOT_FOUND', `There is no script ${path}.`, { details: { path } });
  }
  if (/^\.[mc]?[jt]s$/.test(extension)) {
    return { file: process.execPath, args: [...process.execArgv, path], isNode: true };
  }
  if (extension === '.py')
    return { file: env['KEELSON_PYTHON'] ?? 'python3', args: [path], isNode: false };
  if (extension === '.sh') return { file: 'sh', args: [path], isNode: false };
  return { file: script.includes('/') ? path : script, args: [], isNode: false };
}

/** What the script needs to open the same platform. */
function variablesOf(
  { values, file }: EffectiveConfig,
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string | undefined> {
  const told: Record<string, string> = {};
  for (const key of ['dir', 'workspace', 'store', 'series', 'artifacts'] as const) {
    const value = values[key];
    if (value !== undefined) told[variableOf(key)] = value;
  }
  return { ...env, ...told, ...(file === undefined ? {} : { KEELSON_CONFIG: file }) };
}

/** Waits for the script, and hands on what this process is told to do. */
async function watch(
  { system }: Pick<CommandContext<never, never>, 'system'>,
  start: () => ChildProcess,
): Promise<End> {
  let asked = false;
  const child = start();
  const pass = (signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP') => (): void => {
    asked = true;
    // Ctrl-C of a terminal reaches the whole group; the script has it already.
    if (signal !== 'SIGINT' || system.stdout.isTTY !== true) child.kill(signal);
  };
  const stops = (['SIGINT', 'SIGTERM', 'SIGHUP'] as const).map((signal) =>
    system.onSignal(signal, pass(signal)),
  );
  try {
    return await new Promise<End>((done, failed) => {
      child.once('error', (cause: NodeJS.ErrnoException) => failed(notStarted(child, cause)));
      child.once('exit', (code, signal) => {
        const number = signal === null ? 0 : (constants.signals[signal] ?? 0);
        done({ code: code ?? 128 + number, signal: signal ?? undefined, asked });
      });
    });
  } finally {
    for (const stop of stops) stop();
  }
}

function notStarted(child: ChildProcess, cause: NodeJS.ErrnoException): KeelsonError {
  const why =
    cause.code === 'ENOENT'
      ? 'there is no such program; name a file (./train), or what is on the PATH'
      : cause.code === 'EACCES'
        ? 'it may not be executed (chmod +x makes it so)'
        : cause.message;
  return new KeelsonError('FAILED', `${child.spawnfile} cannot be started: ${why}.`, { cause });
}

async function describe(
  tracking: Tracking,
  id: string,
  name: string | undefined,
  tags: Readonly<Record<string, string>>,
): Promise<void> {
  if (name !== undefined) await tracking.updateRun(id, { name });
  await tracking.setRunTags(id, tags);
}

/** Ends the run as the script ended, where the script has not; a bad end outranks what the script said. */
async function settle(tracking: Tracking, id: string, end: End, script: string): Promise<Run> {
  const killed = end.asked || end.signal !== undefined || end.code === exitCodes.interrupted;
  const status = end.code === 0 ? 'COMPLETED' : killed ? 'KILLED' : 'FAILED';
  const reason =
    status === 'COMPLETED'
      ? undefined
      : end.signal === undefined
        ? `${script} ended with exit code ${end.code}`
        : `${script} was ended by ${end.signal}`;
  const joined = await tracking.joinRun(id);
  if (!joined.finished) await joined.finish(status, reason);
  else if (status !== 'COMPLETED' && (await tracking.getRun(id)).status === 'COMPLETED') {
    await (await tracking.resumeRun(id)).finish(status, reason);
  }
  return tracking.getRun(id);
}

function readTags(texts: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    texts.map((text) => {
      const [key = '', ...value] = text.split('=');
      if (key === '' || value.length === 0) {
        throw new UsageError(`--tag takes key=value, not "${text}".`);
      }
      return [key, value.join('=')];
    }),
  );
}
