import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { globSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { build } from 'tsup';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Builds the server as packages ship it (JavaScript, one bundle), inside the workspace, where its dependencies are found. */
export async function buildServer(): Promise<string> {
  await mkdir(join(root, '.bench'), { recursive: true });
  const built = await mkdtemp(join(root, '.bench', 'http-'));
  const outDir = join(built, 'dist');
  // Packages look for their own description above dist.
  await cp(join(root, 'packages/server/package.json'), join(built, 'package.json'));
  const workers = globSync('packages/core/src/**/*-{thread,child}.ts', { cwd: root });
  await build({
    config: false,
    silent: true,
    entry: {
      serve: join(root, 'bench/http-child.ts'),
      ...Object.fromEntries(workers.map((path) => [basename(path, '.ts'), join(root, path)])),
    },
    outDir,
    tsconfig: join(root, 'tsconfig.json'),
    format: 'esm',
    target: 'node22.18',
    platform: 'node',
    splitting: true,
    noExternal: [/^@keelson\//],
    skipNodeModulesBundle: true,
    removeNodeProtocol: false,
    esbuildOptions(options) {
      options.conditions = ['keelson:source'];
    },
    dts: false,
  });
  return built;
}

/** Our server in a process of its own. */
export class HttpProcess implements AsyncDisposable {
  readonly url: string;
  /** From the start of the process to its first answer that it is ready. */
  readonly readyMs: number;
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess, url: string, readyMs: number) {
    this.#child = child;
    this.url = url;
    this.readyMs = readyMs;
  }

  static async start(built: string, dir: string): Promise<HttpProcess> {
    const startedAt = performance.now();
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', join(built, 'dist', 'serve.js'), dir],
      {
        stdio: ['ignore', 'pipe', 'inherit'],
        env: { ...process.env, NODE_OPTIONS: '', NODE_COMPILE_CACHE: join(built, 'compiled') },
      },
    );
    const { value: url, done } = await createInterface({ input: child.stdout })
      [Symbol.asyncIterator]()
      .next();
    if (done) throw new Error('The server has ended before it said where it is.');
    const answer = await fetch(`${url}/health/ready`);
    if (answer.status !== 200) throw new Error(`The server is not ready: ${await answer.text()}`);
    return new HttpProcess(child, url, performance.now() - startedAt);
  }

  /** What it has in memory now, in MB (10⁶ bytes); of Linux alone. */
  async residentMb(): Promise<number> {
    const status = await readFile(`/proc/${this.#child.pid}/status`, 'utf8');
    return (Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024) / 1e6;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await gone;
  }
}
