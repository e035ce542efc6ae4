#!/usr/bin/env node
// The `keelson` command. What it does is in command-line.ts; this ties it to the process.
import type { System, TextSink } from './command.ts';
import { beginLean, endLean } from './lean-start.ts';

beginLean();
const { runCommandLine } = await import('./command-line.ts');
// `serve` says itself when it has begun.
if (process.argv[2] !== 'serve') endLean();

const system: System = {
  stdin: process.stdin,
  stdout: sink(process.stdout),
  stderr: sink(process.stderr),
  cwd: process.cwd(),
  env: process.env,
  clock: { now: () => Date.now() },
  onSignal(name, listener) {
    process.on(name, listener);
    return () => process.off(name, listener);
  },
};

/** A second Ctrl-C does not wait for anything. */
let interrupts = 0;
process.on('SIGINT', () => {
  interrupts += 1;
  if (interrupts > 1) process.exit(130);
});

const code = await runCommandLine(process.argv.slice(2), system);
await Promise.all([flushed(process.stdout), flushed(process.stderr)]);
// What a script or an adapter has left open does not keep the command alive.
process.exit(code);

function sink(stream: NodeJS.WriteStream): TextSink {
  const listeners: (() => void)[] = [];
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'ERR_STREAM_DESTROYED') throw error;
    for (const listener of listeners) listener();
  });
  return {
    get isTTY() {
      return stream.isTTY === true;
    },
    get columns() {
      return stream.columns;
    },
    write: (text) => stream.write(text),
    onBroken: (listener) => listeners.push(listener),
  };
}

function flushed(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || !stream.writable) resolve();
    else stream.write('', () => resolve());
  });
}
