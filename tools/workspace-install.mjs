import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  closeSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

const beatMs = 2_000;
const silentMs = 20_000;
const endlessMs = 10 * 60_000;

/**
 * Makes `node_modules` hold what `package-lock.json` names: does nothing if it does, else runs
 * `npm ci`, saying so. Two that start at once install once: the second waits for the first.
 */
export async function ensureInstalled(root) {
  if (isInstalled(root)) return;
  const lock = await takeLock(join(root, '.install.lock'));
  try {
    if (isInstalled(root)) return;
    const startedAt = Date.now();
    say('Installing what this workspace needs with npm ci (once; half a minute or so) …');
    await npmCi(root, lock.share);
    if (!isInstalled(root)) {
      throw new Error('npm ci ended well, yet node_modules is not what package-lock.json names.');
    }
    say(`Installed in ${Math.round((Date.now() - startedAt) / 1000)} s.`);
  } finally {
    lock.release();
  }
}

/**
 * Whether the tree that npm last wrote is the one the lock file names. npm writes its own record
 * of the tree last, so an install that was cut off reads as not installed. Packages for other
 * platforms may be missing, none may differ.
 */
export function isInstalled(root) {
  const wanted = readPackages(join(root, 'package-lock.json'));
  if (wanted === undefined) throw new Error(`There is no package-lock.json in ${root}.`);
  const present = readPackages(join(root, 'node_modules', '.package-lock.json'));
  if (present === undefined) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    const there = present[path];
    if (there === undefined) return entry.optional === true || entry.devOptional === true;
    return there.version === entry.version && there.integrity === entry.integrity;
  });
}

function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages ?? {};
  } catch (error) {
    if (error.code === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function npmCi(root, onStarted) {
  // Warnings are left out: on an older system Node there is one per package about its engines,
  // and jobs do not run on that Node. Development packages are needed whatever NODE_ENV says.
  const args = ['ci', '--include=dev', '--engine-strict=false', '--loglevel=error'];
  const npmScript = process.env.npm_execpath;
  const viaNpm = npmScript !== undefined && /npm-cli\.[cm]?js$/.test(npmScript);
  const [file, first] = viaNpm ? [process.execPath, [npmScript]] : ['npm', []];
  return new Promise((resolve, reject) => {
    const child = spawn(file, [...first, ...args, '--no-audit', '--no-fund'], {
      cwd: root,
      // Its install script would fetch CUDA libraries from outside; what runs on a CPU is in the package.
      env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
      stdio: ['ignore', 'inherit', 'inherit'],
      shell: process.platform === 'win32' && !viaNpm,
    });
    if (child.pid !== undefined) onStarted(child.pid);
    const forward = (signal) => child.kill(signal);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, forward);
    child.once('error', (cause) =>
      reject(new Error(`npm could not be started (${cause.message}); it comes with Node.`)),
    );
    child.once('exit', (code, signal) => {
      for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.off(name, forward);
      if (code === 0) return resolve();
      const end = signal === null ? `exit code ${code}` : signal;
      reject(new Error(`npm ci failed (${end}); what it said stands above.`));
    });
  });
}

/**
 * Takes a lock file, which names the processes that hold it: this one, and the npm it starts,
 * which may outlive it. One that nobody holds any more is taken over: it is renamed aside first,
 * and put back if it turns out to be a fresh one that another just made.
 */
async function takeLock(path) {
  const token = `${hostname()} ${randomUUID()} ${process.pid}`;
  let said = false;
  while (!tryCreate(path, token)) {
    if (isAbandoned(path)) {
      const aside = `${path}.${randomUUID()}`;
      if (!tryRename(path, aside)) continue;
      if (!isAbandoned(aside)) tryLink(aside, path);
      rmSync(aside, { force: true });
      continue;
    }
    if (!said) say('Another process is installing this workspace; waiting for it …');
    said = true;
    await sleep(250);
  }
  const beat = setInterval(() => touch(path), beatMs);
  beat.unref();
  return {
    share: (pid) => writeFileSync(path, `${token} ${pid}`),
    release: () => {
      clearInterval(beat);
      if (readText(path)?.startsWith(token)) rmSync(path, { force: true });
    },
  };
}

function isAbandoned(path) {
  const [host, , ...pids] = readText(path)?.split(' ') ?? [];
  const here = host === hostname();
  if (here && !pids.some((pid) => isAlive(Number(pid)))) return true;
  try {
    // A number may have passed to another process, and one of another machine cannot be asked.
    return Date.now() - statSync(path).mtimeMs > (here ? endlessMs : silentMs);
  } catch (error) {
    if (error.code === 'ENOENT') return false;
    throw error;
  }
}

function isAlive(pid) {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
}

function tryCreate(path, token) {
  try {
    const file = openSync(path, 'wx');
    writeSync(file, token);
    closeSync(file);
    return true;
  } catch (error) {
    if (error.code === 'EEXIST') return false;
    throw new Error(`Cannot install here: ${error.message}. The checkout must be writable.`);
  }
}

function tryRename(from, to) {
  try {
    renameSync(from, to);
    return true;
  } catch (error) {
    if (error.code === 'ENOENT') return false;
    throw error;
  }
}

function tryLink(from, to) {
  try {
    linkSync(from, to);
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
}

function touch(path) {
  try {
    utimesSync(path, new Date(), new Date());
  } catch (error) {
    if (error.code !== 'ENOENT') throw error;
  }
}

function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function say(sentence) {
  process.stderr.write(`${sentence}\n`);
}
