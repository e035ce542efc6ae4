import { Readable } from 'node:stream';
import type { CommandRow, System } from '../src/cli/command.ts';
import { runCommandLine } from '../src/cli/command-line.ts';

/** What a command line answered. */
export interface CliAnswer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** The document of `--json`. */
  json(): unknown;
}

/** What a command runs in; everything has a default. */
export interface CliRoom {
  /** The platform's directory; the command line's own default when left out. */
  readonly dir?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** Columns of a terminal on both streams; none when left out. */
  readonly terminal?: number;
  readonly now?: () => number;
  /** In the place of those that there are. */
  readonly commands?: readonly CommandRow[];
  /** Given what sends signals and breaks stdout, and told of each write. */
  readonly during?: (control: CliControl) => void;
}

/** What happens to a command while it runs. */
export interface CliControl {
  signal(name: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): void;
  /** Whoever reads stdout goes away. */
  breakStdout(): void;
  /** Called with each text that is written, and all before it. */
  onWrite(listener: (all: string) => void): void;
}

/** Runs a command line in this process. */
export async function runCli(argv: readonly string[], room: CliRoom = {}): Promise<CliAnswer> {
  const written = { stdout: '', stderr: '' };
  const signals = new Map<string, Set<() => void>>();
  const writes: ((all: string) => void)[] = [];
  let broken: (() => void) | undefined;
  const sink = (name: 'stdout' | 'stderr') => ({
    isTTY: room.terminal !== undefined,
    ...(room.terminal === undefined ? {} : { columns: room.terminal }),
    write(text: string) {
      written[name] += text;
      for (const listener of writes) listener(written.stdout + written.stderr);
    },
    onBroken(listener: () => void) {
      broken = listener;
    },
  });
  const system: System = {
    stdin: Readable.from(room.stdin === undefined ? [] : [room.stdin]),
    stdout: sink('stdout'),
    stderr: sink('stderr'),
    cwd: room.cwd ?? process.cwd(),
    env: room.env ?? {},
    clock: { now: room.now ?? (() => Date.now()) },
    onSignal(name, listener) {
      const listeners = signals.get(name) ?? new Set();
      signals.set(name, listeners.add(listener));
      return () => listeners.delete(listener);
    },
  };
  room.during?.({
    signal: (name) => {
      for (const listener of signals.get(name) ?? []) listener();
    },
    breakStdout: () => broken?.(),
    onWrite: (listener) => writes.push(listener),
  });
  const where = room.dir === undefined ? [] : ['--dir', room.dir];
  const code = await runCommandLine([...where, ...argv], system, room.commands);
  return { code, ...written, json: () => JSON.parse(written.stdout) };
}
