import { execFile } from 'node:child_process';
import { access, readFile } from 'node:fs/promises';
import { storableText } from './json.ts';

/** Whether there is something of that path that may be looked at. */
export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Like {@link bytesOf}, as text. */
export async function contentOf(path: string): Promise<string | undefined> {
  return (await bytesOf(path))?.toString('utf8');
}

/** What a file holds; undefined for one that is not there or may not be read. */
export async function bytesOf(path: string): Promise<Buffer | undefined> {
  try {
    return await readFile(path);
  } catch (error) {
    // One that is not there, or may not be read, does not keep a run from starting.
    if (typeof (error as NodeJS.ErrnoException).code !== 'string') throw error;
    return undefined;
  }
}

/** What a program prints; undefined when it is not there, fails, or takes over two seconds. */
export function printedBy(
  program: string,
  args: readonly string[],
  maxBuffer: number,
): Promise<Buffer | 'too large' | undefined> {
  return new Promise((resolve) => {
    const done = (error: Error | null, stdout: Buffer): void => {
      if (error === null) resolve(stdout);
      else {
        const { code } = error as NodeJS.ErrnoException;
        resolve(code === 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER' ? 'too large' : undefined);
      }
    };
    const options = { timeout: 2000, maxBuffer, encoding: 'buffer', windowsHide: true } as const;
    try {
      execFile(program, [...args], options, done);
    } catch (error) {
      done(error as Error, Buffer.alloc(0));
    }
  });
}

/** The first 1,000 characters of what was printed. */
export function textOf(printed: Buffer | 'too large' | undefined): string | undefined {
  return Buffer.isBuffer(printed) ? storableText(printed.toString('utf8').trim(), 1000) : undefined;
}
