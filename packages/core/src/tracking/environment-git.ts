import type { JsonObject } from '../json.ts';
import { printedBy, textOf } from '../look-around.ts';

/** What git knows of the working directory. */
export interface GitState {
  readonly commit: string;
  readonly facts: JsonObject;
  readonly patch?: Uint8Array;
}

/** A larger patch is left out: it is generated files, hardly ever a change that somebody made. */
const maxPatchBytes = 4 * 2 ** 20;

/** Undefined outside a repository, before the first commit, and without git. */
export async function captureGit(withPatch: boolean): Promise<GitState | undefined> {
  const [commit, branch, status, url] = await Promise.all([
    git(['rev-parse', 'HEAD']),
    git(['rev-parse', '--abbrev-ref', 'HEAD']),
    git(['status', '--porcelain', '--untracked-files=no']),
    git(['config', '--get', 'remote.origin.url']),
  ]);
  if (commit === undefined) return undefined;
  const dirty = status !== undefined && status !== '';
  const remote = url === undefined ? undefined : remoteWithoutSecrets(url);
  const patch = dirty && withPatch ? await uncommitted() : undefined;
  const facts = {
    commit,
    ...(branch ? { branch } : {}),
    ...(remote === undefined ? {} : { remote }),
    dirty,
    ...(patch === 'too large' ? { patch: `over ${maxPatchBytes} bytes, left out` } : {}),
  };
  return typeof patch === 'object' ? { commit, facts, patch } : { commit, facts };
}

async function uncommitted(): Promise<Uint8Array | 'too large' | undefined> {
  // From the top of the tree: `git apply` there brings back what ran.
  const args = ['diff', 'HEAD', '--no-color', '--no-ext-diff', '--no-textconv', '--binary'];
  const done = await printedBy('git', args, maxPatchBytes);
  if (done === 'too large' || done === undefined) return done;
  return done.length === 0 ? undefined : done;
}

async function git(args: readonly string[]): Promise<string | undefined> {
  return textOf(await printedBy('git', args, 2 ** 20));
}

/**
 * A remote's address without user, password, query and fragment: `https://host/path`, or
 * `host:path` as ssh writes it. Undefined for what is neither.
 */
export function remoteWithoutSecrets(remote: string): string | undefined {
  if (/^[a-z][a-z\d+.-]*:\/\//i.test(remote)) {
    if (!URL.canParse(remote)) return undefined;
    const { protocol, host, pathname } = new URL(remote);
    return `${protocol}//${host}${pathname}`;
  }
  const ssh = /^(?:[^@\s/]+@)?([\w.-]+:[^\s?#@]+)$/.exec(remote)?.[1];
  // A path on this machine says nothing elsewhere.
  return ssh;
}
