import { createHash } from 'node:crypto';
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * What a server was last brought to, as a digest by id. Lost, all is compared anew, and nothing sent twice. A file of
 * lines that only grows, so that each costs the same however many there are; of one id the last counts.
 */
export class SyncState {
  readonly #file: string;
  readonly #known: Map<string, string>;

  private constructor(file: string, known: Map<string, string>) {
    this.#file = file;
    this.#known = known;
  }

  static async open(file: string): Promise<SyncState> {
    const known = new Map<string, string>();
    // Another that was killed may have left half a line; what follows is to begin one of its own.
    for (const line of (await textOf(file)).split('\n')) {
      const [, digest, id] = /^([0-9a-f]{64}) (\S+)$/.exec(line) ?? [];
      if (id !== undefined && digest !== undefined) known.set(id, digest);
    }
    return new SyncState(file, known);
  }

  has(id: string, digest: string): boolean {
    return this.#known.get(encodeURIComponent(id)) === digest;
  }

  async keep(id: string, digest: string): Promise<void> {
    const name = encodeURIComponent(id);
    this.#known.set(name, digest);
    await mkdir(dirname(this.#file), { recursive: true });
    await appendFile(this.#file, `\n${digest} ${name}`);
  }
}

/** The name of the file that says what a server has of a directory. */
export function stateName(url: string, workspace: string): string {
  return `${createHash('sha256').update(`${url}\n${workspace}`).digest('hex').slice(0, 16)}.sent`;
}

async function textOf(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
    throw error;
  }
}
