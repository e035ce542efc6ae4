import type { Readable } from 'node:stream';
import type { Clock, Logger, Platform } from '@keelson/core';
import type { EffectiveConfig } from '../config/effective-config.ts';
import type { ExitCode } from './exit-codes.ts';
import type { Output } from './output.ts';
import type { Progress, ProgressOptions } from './progress.ts';

/**
 * # How a command is added
 *
 * 1. A file in `commands/`, which says what the command takes and does:
 *
 *    ```ts
 *    export const command: Command = defineCommand({
 *      positionals: { experiment: { summary: 'Name or id' } },
 *      options: {
 *        limit: { type: 'integer', summary: 'How many at most', default: 20, min: 1 },
 *        status: { type: 'choice', choices: ['RUNNING', 'FAILED'], summary: 'Only these' },
 *        sinceStart: { type: 'duration', summary: 'Begun within this time, such as 24h' },
 *        tag: { type: 'text', placeholder: 'key=value', many: true, summary: 'Only with this tag' },
 *      },
 *      examples: [['keelson runs list fraud --limit 5', 'The five newest runs of fraud']],
 *      async run({ positionals, options, out, platform }) {
 *        const { tracking } = await platform();
 *        const page = await tracking.searchRuns({ experiments: [positionals.experiment], limit: options.limit });
 *        out.show({ runs: page.runs }, (view) => {
 *          view.table(page.runs, [
 *            { title: 'RUN', value: (run) => run.id, whole: true },
 *            { title: 'NAME', value: (run) => run.name },
 *            { title: 'BEGAN', value: (run) => view.ago(run.startedAt), align: 'right' },
 *          ], { empty: 'No run yet. `keelson run train.ts` makes one.' });
 *        });
 *      },
 *    });
 *    ```
 *
 *    What is typed by keys (`options.limit` is a number, `options.tag` a list) is checked before `run` begins. Keys are
 *    camelCase; on the command line they are `--since-start`. `--json`, `--help`, `--dir` and what else
 *    {@link globalOptions} has need not be declared.
 * 2. A row in `command-table.ts`: its name (`runs list`: two words are a command of the group `runs`, which has a line
 *    in `groups`), a summary, and how it is loaded. The row is all that `keelson --help` reads.
 * 3. `docs/command-line.md` is made of the same: `KEELSON_WRITE_DOCS=1 vitest run command-line-page`.
 * 4. A test: `runCli(['runs', 'list', 'fraud'], { dir })` of `test/cli-bed.ts` answers `{ code, stdout, stderr }`.
 *
 * # What a command may rely on
 *
 * - **Output.** `out.show(document, text)` once: with `--json` the document, which is an interface (fields are added,
 *   never renamed), else what `text` draws. What goes on for long (logs, watching) calls `out.item(document, line)` as
 *   often as it likes: a line of JSON each. Remarks that are not the result go to `out.note`, on stderr.
 * - **Refusals** are thrown: a `KeelsonError` as services throw it, `new UsageError('…')` for what only the command can
 *   know to be wrong usage. Both are printed without a stack; `exit-codes.ts` says what the caller gets.
 *   `return exitCodes.findings` for a command that worked and found something amiss.
 * - **Time.** `signal` is aborted by Ctrl-C: pass it to whatever takes one, or look at it in loops. Whoever ignores it is
 *   left behind after a second. The platform is opened by the first `platform()`, and closed whatever happens. Its
 *   background work is not started.
 * - **Nothing global.** `process.env`, `process.cwd()`, `console` and the time of day come from the context, so that
 *   commands are tested in the process of the test.
 * - **Texts of others** (names, messages, logs) are cleaned of control characters by `view` and `out.item`; what is
 *   written by `out.raw` is not.
 */
export interface CommandDefinition<
  O extends Readonly<Record<string, Option>>,
  P extends Readonly<Record<string, Positional>>,
> {
  /** In the order in which they are typed; only the last may be `many` or `verbatim`. */
  readonly positionals?: P;
  readonly options?: O;
  /** What is typed, and what it does. */
  readonly examples: readonly (readonly [line: string, does: string])[];
  /**
   * It ends in order by itself when `signal` is aborted, however long that takes; others are left behind after a second.
   * A second Ctrl-C waits for nobody.
   */
  readonly endsInOrder?: true;
  /** More than the summary says, for `--help`; paragraphs are set apart by an empty line. */
  readonly description?: string;
  run(
    context: CommandContext<
      { readonly [K in keyof O]: OptionValue<O[K]> },
      { readonly [K in keyof P]: PositionalValue<P[K]> }
    >,
  ): Promise<ExitCode | number | undefined | void>;
}

/** A command whose own types are its own business. */
export type Command = CommandDefinition<
  Readonly<Record<string, Option>>,
  Readonly<Record<string, Positional>>
>;

/** What is typed behind the name. Required unless it says otherwise. */
export interface Positional {
  readonly summary: string;
  readonly optional?: true;
  /** One or more; a list. */
  readonly many?: true;
  /** All that follows, options too, as it was typed; a list. For programs that are started. */
  readonly verbatim?: true;
}

interface OptionBase {
  readonly summary: string;
  /** One letter. */
  readonly short?: string;
}

/** `--name`, and `--no-name` where the default is true. */
export interface FlagOption extends OptionBase {
  readonly type: 'flag';
  readonly default?: boolean;
}

/**
 * `--name value`. `duration` (`250ms`, `30s`, `5m`, `24h`, `7d`) is read as ms; `time` (ISO 8601, or a duration ago) as
 * epoch ms.
 */
export interface ValueOption extends OptionBase {
  readonly type: 'text' | 'integer' | 'number' | 'duration' | 'time';
  /** What stands for the value in help; the type when left out. */
  readonly placeholder?: string;
  readonly default?: string | number;
  readonly required?: true;
  /** May be given several times; a list, empty when it was not. */
  readonly many?: true;
  readonly min?: number;
  readonly max?: number;
}

/** `--name one-of-these`. */
export interface ChoiceOption extends OptionBase {
  readonly type: 'choice';
  readonly choices: readonly string[];
  readonly default?: string;
  readonly required?: true;
  readonly many?: true;
}

/** What may be typed with dashes. */
export type Option = FlagOption | ValueOption | ChoiceOption;

type OneValue<O> = O extends { type: 'flag' }
  ? boolean
  : O extends { type: 'choice'; choices: readonly (infer C)[] }
    ? C
    : O extends { type: 'text' }
      ? string
      : number;

/** What a command gets for an option. */
export type OptionValue<O> = O extends { many: true }
  ? readonly OneValue<O>[]
  : O extends { type: 'flag' } | { default: string | number } | { required: true }
    ? OneValue<O>
    : OneValue<O> | undefined;

/** What a command gets for a positional. */
export type PositionalValue<P> = P extends { many: true } | { verbatim: true }
  ? readonly string[]
  : P extends { optional: true }
    ? string | undefined
    : string;

/** What a command has to work with. */
export interface CommandContext<O, P> {
  readonly options: O;
  readonly positionals: P;
  readonly out: Output;
  /**
   * The platform that the configuration names, opened when it is first asked for. NOT_FOUND, saying how one is made, for
   * a directory that is not there, unless `create` is given: who looks for something is not to make an empty one.
   */
  platform(options?: { readonly create?: true }): Promise<Platform>;
  /**
   * The configuration in force, and where each part of it came from; options of the command that stand for keys of it
   * are handed over by the first call, before `platform()`.
   */
  config(flags?: ConfigFlags): Promise<EffectiveConfig>;
  /** Logs to stderr, as the configuration says; after `platform()`. */
  logger(): Logger;
  /** The configuration read anew, what may change while a platform is open being taken up; and the one before. */
  reconfigure(): Promise<{ readonly before: EffectiveConfig; readonly after: EffectiveConfig }>;
  /** A bar or a count on stderr, for what takes more than a second. */
  progress(label: string, options?: ProgressOptions): Progress;
  /** Aborted when the caller wants the command to end. */
  readonly signal: AbortSignal;
  readonly stdin: Readable;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** All commands there are. */
  readonly commands: readonly CommandRow[];
  /** Whatever else is of the process: signals, other processes. */
  readonly system: System;
}

/** Options of a command that are keys of the configuration: `{ 'server.port': { flag: '--port', value: 80 } }`. */
export type ConfigFlags = Readonly<
  Record<string, { readonly flag: string; readonly value: string | number | boolean | undefined }>
>;

/** What a command line runs in; a test gives one of its own. */
export interface System {
  readonly stdin: Readable;
  readonly stdout: TextSink;
  readonly stderr: TextSink;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  /** Tells of signals to this process, until what it answers is called. */
  onSignal(name: 'SIGINT' | 'SIGTERM' | 'SIGHUP', listener: () => void): () => void;
}

/** Where text goes. */
export interface TextSink {
  readonly isTTY?: boolean;
  readonly columns?: number;
  write(text: string): unknown;
  /** Told when nobody reads any more. */
  onBroken?(listener: () => void): void;
}

/** A command as `--help` and completion know it; what it does is loaded when it is called. */
export interface CommandRow {
  /** One word, or two where the first is a group. */
  readonly name: string;
  /** A sentence without a full stop. */
  readonly summary: string;
  load(): Promise<{ readonly command: Command }>;
}

/** Types what `run` gets by what is declared. */
export function defineCommand<
  const O extends Readonly<Record<string, Option>> = Readonly<Record<never, Option>>,
  const P extends Readonly<Record<string, Positional>> = Readonly<Record<never, Positional>>,
>(definition: CommandDefinition<O, P>): Command {
  return definition as unknown as Command;
}

/** The command line itself is wrong; the caller is told what is right, and gets exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
