import { spawnSync } from 'node:child_process';
import { join } from 'node:path';

const supported = '22.18 or newer of 22, or 24 and newer';

/**
 * Answers the Node binary that jobs run on, with the flags it needs: the pinned one of
 * `node_modules`, or the one that KEELSON_NODE names. Throws with the remedy if it is missing
 * or too old: npm may have blocked its install script and still have exited with 0.
 */
export function findPinnedNode(root) {
  const chosen = process.env.KEELSON_NODE;
  const file = process.platform === 'win32' ? 'node.exe' : 'node';
  const path = chosen || join(root, 'node_modules', 'node', 'bin', file);
  const run = spawnSync(path, ['--version'], { encoding: 'utf8' });
  const version = /^v(\d+)\.(\d+)\.\d+/.exec(run.stdout ?? '');
  if (version === null) {
    const cause = run.error?.message ?? run.stderr.trim();
    throw new Error(chosen ? notNode(path, cause) : scriptBlocked(path, cause));
  }
  const major = Number(version[1]);
  const minor = Number(version[2]);
  if (!isSupported(major, minor)) {
    throw new Error(`${path} is Node ${version[0]}; Keelson needs ${supported}. ${remedy}`);
  }
  // Type stripping and node:sqlite announce themselves as experimental on 22 only.
  return { path, flags: major < 24 ? ['--disable-warning=ExperimentalWarning'] : [] };
}

/** Whether a Node version satisfies `^22.18 || >=24`. */
export function isSupported(major, minor) {
  return (major === 22 && minor >= 18) || major >= 24;
}

const remedy = [
  'Either let the install script of the package "node" run (with npm 12:',
  '`npm install-scripts approve node`; with ignore-scripts set: `npm config delete ignore-scripts`)',
  'and then run `npm rebuild node`,',
  'or set KEELSON_NODE to a Node of your own that is new enough.',
].join(' ');

function scriptBlocked(path, cause) {
  return `The pinned Node is not installed: ${path} does not run (${cause}). ${remedy}`;
}

function notNode(path, cause) {
  return `KEELSON_NODE names ${path}, which does not run as Node (${cause}).`;
}
