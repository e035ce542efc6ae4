import {
  type CodeFile,
  type ModuleCode,
  ModuleDigests,
  type ModuleGraph,
} from './module-digest.ts';

interface Imported {
  readonly facts: CodeFile;
  /** It is read when it comes to that, perhaps later. */
  readonly lazy: boolean;
}

/** What steps of this thread have imported: as the thread's cache of modules, it is one for all and for ever. */
const imported = new Map<string, Imported>();

/**
 * The code of modules that steps import into this process. A module that was imported stays what it was, whatever
 * becomes of its files: its digest does too. What the program has imported by itself is not known here.
 */
export class ImportedCode {
  readonly #digests = new ModuleDigests();

  /** What runs here for the module at a URL: what was imported, else what would be. NOT_FOUND where it is not there. */
  async of(location: string): Promise<ModuleCode> {
    return this.#digests.of(location, (file) => this.#read(file));
  }

  /** Imports it by `load`, and holds on to what its files were. */
  async importing<T>(location: string, load: () => Promise<T>): Promise<T> {
    const before = await this.#graph(location);
    try {
      return await load();
    } finally {
      const after = await this.#graph(location);
      for (const [file, { facts, lazy }] of before?.files ?? []) {
        const known = imported.get(file);
        if (known !== undefined && (lazy || !known.lazy)) continue;
        const same = after?.files.get(file)?.facts.sha256 === facts.sha256;
        imported.set(file, { facts: same ? facts : unsure(file, facts), lazy });
      }
    }
  }

  async #graph(location: string): Promise<ModuleGraph | undefined> {
    if (!location.startsWith('file:')) return undefined;
    try {
      return await this.#digests.graph(location, (file) => this.#read(file));
    } catch {
      // Whoever imports it is told what is wrong.
      return undefined;
    }
  }

  async #read(file: string): Promise<CodeFile> {
    const known = imported.get(file);
    if (known === undefined) return this.#digests.read(file);
    if (!known.lazy) return known.facts;
    const now = await this.#digests.read(file);
    return now.sha256 === known.facts.sha256 ? now : unsure(file, now);
  }
}

function unsure(file: string, facts: CodeFile): CodeFile {
  return {
    ...facts,
    unknown: `${file} was changed while this process imported it, or might have; start the process anew, or run the module in one of its own (isolation: 'process')`,
  };
}
