import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ImportNotes } from './import-notes.ts';
import { codeOf, SafeDirectory } from './safe-directory.ts';
import type { FilesOwner, SourceFile } from './source.ts';

/**
 * The artifacts of runs and logged models on this machine: where their address says, if that is within one of the
 * directories that are imported, and else at the same place below one of them (directories are moved). Nothing outside
 * of them is read: an address is what somebody has written into a file.
 */
export class ArtifactRoots {
  readonly #roots: readonly SafeDirectory[];
  readonly #notes: ImportNotes;

  private constructor(roots: readonly SafeDirectory[], notes: ImportNotes) {
    this.#roots = roots;
    this.#notes = notes;
  }

  /** Those of the directories that are there. */
  static async open(paths: readonly string[], notes: ImportNotes): Promise<ArtifactRoots> {
    const roots: SafeDirectory[] = [];
    for (const path of new Set(paths)) {
      try {
        roots.push(await SafeDirectory.open(path, notes));
      } catch (error) {
        if (codeOf(error) !== 'ENOENT' && codeOf(error) !== 'ENOTDIR') throw error;
      }
    }
    return new ArtifactRoots(roots, notes);
  }

  async *files(owner: FilesOwner): AsyncGenerator<SourceFile, void, undefined> {
    const what = `artifacts of ${owner.kind === 'run' ? 'run' : 'logged model'} ${owner.id}`;
    const place = await this.#find(owner);
    if (typeof place === 'string') {
      this.#notes.skip(what, place);
      return;
    }
    if (place === undefined) return;
    const [root, path] = place;
    for await (const { relative, path: file, sizeBytes } of root.files(path)) {
      yield { path: relative, sizeBytes, open: () => root.stream(file) };
    }
  }

  /** The directory; why there is none; undefined where nothing was ever written. */
  async #find(owner: FilesOwner): Promise<readonly [SafeDirectory, string] | string | undefined> {
    const { artifactUri: uri = '', experimentId, id, kind } = owner;
    const [, scheme = '', rest = uri] = /^([a-z][a-z0-9+.-]+):(.*)$/is.exec(uri) ?? [];
    const isProxied = scheme.toLowerCase() === 'mlflow-artifacts';
    if (scheme !== '' && !isProxied && scheme.toLowerCase() !== 'file') {
      return `they lie at ${uri.slice(0, 200)}; import from the MLflow server that can read them, by its URL`;
    }
    const usual = `${experimentId}/${kind === 'run' ? '' : 'models/'}${id}/artifacts`;
    const places = [usual];
    if (isProxied) places.unshift(rest.replace(/^\/\/[^/]*/, '').replace(/^\/+/, ''));
    const stated = isProxied || uri === '' ? undefined : pathOf(uri, scheme);
    for (const root of this.#roots) {
      const found = stated === undefined ? undefined : await root.within(stated);
      if (found !== undefined) return [root, found];
      for (const each of places) {
        const below = await root.within(join(root.root, each));
        if (below !== undefined) return [root, below];
      }
    }
    // A run that logged no files has no directory; one elsewhere has to be named.
    const isKnown = stated === undefined || this.#roots.some(({ root }) => isBelow(stated, root));
    if (isKnown || stated.endsWith(usual)) return undefined;
    return `they lie at ${stated.slice(0, 200)}, outside of what is imported; name that directory as where artifacts lie`;
  }
}

function isBelow(path: string, root: string): boolean {
  return path === root || path.startsWith(root.endsWith('/') ? root : `${root}/`);
}

function pathOf(uri: string, scheme: string): string | undefined {
  if (scheme === '') return uri;
  try {
    return fileURLToPath(uri);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}
