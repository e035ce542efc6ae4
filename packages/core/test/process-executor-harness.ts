import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TaskSpec } from '../src/contracts/executor.ts';
import { ProcessExecutor } from '../src/embedded/processes/process-executor.ts';
import type { ExecutorHarness, TaskDirectory, Work } from '../src/testing/executor-suite.ts';
import { temporaryDirectory } from './open-test-platform.ts';

/** What a POSIX shell does for a {@link Work}; containers take the same. */
export function shellScript(work: Work, workDir: string): string {
  switch (work.does) {
    case 'exit':
      return `exit ${work.code}`;
    case 'hang':
      return `${work.heeds ? '' : "trap '' TERM; "}echo hanging; while :; do sleep 0.1; done`;
    case 'print':
      return work.lines
        .map(({ stream, text }) => {
          const long = text.length > 1000;
          const [unit, times] = long ? ['ü€𝄞', text.length / 4] : [text, 1];
          const print = `printf %s ${quoted(unit)}`;
          const all = long
            ? `s=$(${print}); awk -v s="$s" 'BEGIN{for(i=0;i<${times};i++) printf "%s", s}'`
            : print;
          return stream === 'stderr' ? `{ ${all}; } >&2` : all;
        })
        .join('; ');
    case 'await':
      return `echo begun; while [ ! -e ${workDir}/go ]; do sleep 0.02; done; echo over`;
    case 'environment':
      return work.names.map((name) => `printf '%s=%s\\n' ${name} "$${name}"`).join('; ');
    case 'copy':
      return `cat "$${work.from}" > "$${work.to}"`;
    case 'fill':
      return `x=$(head -c ${work.memoryBytes} /dev/zero | tr '\\0' a); sleep 5; echo \${#x}`;
    case 'mark':
      return `[ ! -d ${workDir} ] || echo ran >> ${workDir}/ran`;
    case 'failRank':
      return `[ "$RANK" = ${work.rank} ] && exit 3; while :; do sleep 0.1; done`;
  }
}

function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/** A directory of this machine as the suite uses it. */
export async function taskDirectory(workDir: string): Promise<TaskDirectory> {
  await mkdir(workDir, { recursive: true });
  return {
    workDir,
    write: (name, text) => writeFile(join(workDir, name), text),
    async read(name) {
      try {
        return await readFile(join(workDir, name), 'utf8');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      }
    },
  };
}

/** A ProcessExecutor for the suite. */
export async function processHarness(): Promise<ExecutorHarness> {
  const dir = await temporaryDirectory();
  const stateDir = join(dir, 'state');
  const workDir = join(dir, 'work');
  const executor = new ProcessExecutor({ stateDir });
  return {
    executor,
    entry: (work: Work): Pick<TaskSpec, 'entry'> => ({
      entry: { type: 'command', command: ['/bin/sh', '-c', shellScript(work, workDir)] },
    }),
    directory: () => taskDirectory(workDir),
    another: async () => new ProcessExecutor({ stateDir }),
    async [Symbol.asyncDispose]() {
      await using cleaner = new ProcessExecutor({ stateDir });
      for await (const task of cleaner.list({ workspace: 'w' })) {
        await cleaner.cancel(task, { graceMs: 0 });
      }
      await executor.close();
    },
  };
}
