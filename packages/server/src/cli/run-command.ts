import type { Logger, Platform } from '@keelson/core';
import type { ConfigLogger } from '../config/config-logger.ts';
import type { EffectiveConfig } from '../config/effective-config.ts';
import {
  type Command,
  type CommandContext,
  type CommandRow,
  type ConfigFlags,
  type System,
  UsageError,
} from './command.ts';
import { exitCodes } from './exit-codes.ts';
import type { GlobalValues } from './global-options.ts';
import { createOutput } from './output.ts';
import type { ParsedArguments } from './parse-arguments.ts';
import { createProgress } from './progress.ts';
import { reportError } from './report-error.ts';
import type { Terminal } from './terminal.ts';

/** How long a command that was told to end may take to do so. */
const graceMs = 1000;

/** A command that is about to run. */
export interface CommandCall {
  readonly command: Command;
  readonly parsed: ParsedArguments;
  readonly terminal: Terminal;
  readonly system: System;
  readonly commands: readonly CommandRow[];
}

/**
 * Runs a command and answers its exit code. Whatever happens, the platform that it opened is closed: after its end, its
 * failure, Ctrl-C, and when nobody reads what it prints.
 */
export async function runCommand(call: CommandCall): Promise<number> {
  const { terminal, system } = call;
  const globals = call.parsed.globals as GlobalValues;
  const { clock } = system;
  const output = createOutput({ terminal, clock, json: globals.json, quiet: globals.quiet });
  const room = { terminal, clock, quiet: globals.quiet };
  const ending = new Ending(system, terminal, call.command.endsInOrder === true);
  const parts = new PlatformParts(globals, system, terminal);
  let code: number;
  try {
    const context: CommandContext<never, never> = {
      options: call.parsed.options as never,
      positionals: call.parsed.positionals as never,
      out: output,
      platform: (options) => parts.platform(options?.create === true),
      config: (flags) => parts.config(flags),
      logger: () => parts.logger(),
      reconfigure: () => parts.reconfigure(),
      progress: (label, options) => createProgress(room, label, options),
      signal: ending.signal,
      stdin: system.stdin,
      cwd: system.cwd,
      env: system.env,
      clock,
      system,
      commands: call.commands,
    };
    code = await ending.race(async () => (await call.command.run(context)) ?? exitCodes.ok);
  } catch (error) {
    code = ending.code ?? (await reportError(error, { terminal, output, debug: globals.debug }));
  }
  try {
    await parts.close();
  } catch (error) {
    const closed = await reportError(error, { terminal, output, debug: globals.debug });
    code = code === exitCodes.ok ? closed : code;
  }
  ending.stop();
  return code;
}

/** The configuration and the platform of one command, each made when it is first asked for. */
class PlatformParts {
  readonly #globals: GlobalValues;
  readonly #system: System;
  readonly #terminal: Terminal;
  #flags: ConfigFlags = {};
  #logger: ConfigLogger | undefined;
  #config: Promise<EffectiveConfig> | undefined;
  #platform: Promise<Platform> | undefined;

  constructor(globals: GlobalValues, system: System, terminal: Terminal) {
    this.#globals = globals;
    this.#system = system;
    this.#terminal = terminal;
  }

  config(flags: ConfigFlags = {}): Promise<EffectiveConfig> {
    this.#flags = { ...this.#flags, ...flags };
    this.#config ??= this.#load();
    return this.#config;
  }

  logger(): Logger {
    if (this.#logger !== undefined) return this.#logger;
    throw new Error('The logger is there once platform() has answered.');
  }

  /** Reads the configuration again, and takes up what may change while a platform is open. */
  async reconfigure(): Promise<{
    readonly before: EffectiveConfig;
    readonly after: EffectiveConfig;
  }> {
    const before = await this.config();
    const after = await this.#load();
    this.#config = Promise.resolve(after);
    this.#logger?.configure(after.values.log);
    return { before, after };
  }

  platform(create: boolean): Promise<Platform> {
    this.#platform ??= this.#open(create);
    return this.#platform;
  }

  async close(): Promise<void> {
    const platform = await this.#platform?.catch(() => undefined);
    await platform?.close();
  }

  async #load(): Promise<EffectiveConfig> {
    const { loadConfig } = await import('../config/load-config.ts');
    const { dir, workspace, config: file } = this.#globals;
    const { cwd, env } = this.#system;
    const overrides: Record<string, string | number | boolean | undefined> = { dir, workspace };
    const flags = new Map([
      ['dir', '--dir'],
      ['workspace', '--workspace'],
    ]);
    for (const text of this.#globals.set) {
      const [key = '', ...value] = text.split('=');
      if (value.length === 0) throw new UsageError(`--set takes key=value, not "${text}".`);
      overrides[key] = value.join('=');
      flags.delete(key);
    }
    for (const [key, { value, flag }] of Object.entries(this.#flags)) {
      if (value === undefined) continue;
      overrides[key] = value;
      flags.set(key, flag);
    }
    const nameOf = (key: string): string => flags.get(key) ?? `--set ${key}`;
    return loadConfig({ cwd, env, overrides, nameOf, ...(file === undefined ? {} : { file }) });
  }

  async #open(create: boolean): Promise<Platform> {
    const config = await this.config();
    const { assertPlatformThere, openConfigured } = await import('../config/open-configured.ts');
    if (!create) await assertPlatformThere(config);
    const { createConfigLogger } = await import('../config/config-logger.ts');
    this.#logger = createConfigLogger(config.values.log, (line) => this.#terminal.error(line));
    return openConfigured(config, this.#logger);
  }
}

/** What ends a command from outside: Ctrl-C, SIGTERM, a reader who has gone. */
class Ending {
  readonly #controller = new AbortController();
  readonly #stops: (() => void)[] = [];
  readonly #grace = Promise.withResolvers<number>();
  /** The exit code of what ended it. */
  code: number | undefined;

  constructor(system: System, terminal: Terminal, inOrder: boolean) {
    const end = (code: number): void => {
      if (this.code !== undefined) return;
      this.code = code;
      this.#controller.abort(new DOMException('The command was told to end.', 'AbortError'));
      if (!inOrder) setTimeout(() => this.#grace.resolve(code), graceMs).unref();
    };
    this.#stops.push(system.onSignal('SIGINT', () => end(exitCodes.interrupted)));
    this.#stops.push(system.onSignal('SIGTERM', () => end(exitCodes.terminated)));
    system.stdout.onBroken?.(() => {
      terminal.stop();
      end(exitCodes.brokenPipe);
    });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** What the work answers; the exit code of what ended it, where that comes first and the work does not heed it. */
  async race(work: () => Promise<number>): Promise<number> {
    const done = work();
    done.catch(() => undefined);
    const code = await Promise.race([done, this.#grace.promise]);
    // A command that ends in order by itself says how (`serve` has nothing to be sorry for).
    return code === exitCodes.ok && this.code === exitCodes.brokenPipe ? this.code : code;
  }

  stop(): void {
    for (const stop of this.#stops) stop();
  }
}
