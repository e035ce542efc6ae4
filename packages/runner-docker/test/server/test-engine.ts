import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readFile, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

/** Runs a program to its end; rejects where it fails. */
export const execute = promisify(execFile);

/** Of the programs for administrators too, which not everybody has in their path. */
export const systemEnv: NodeJS.ProcessEnv = {
  ...process.env,
  PATH: `${process.env['PATH']}:/usr/local/sbin:/usr/sbin:/sbin`,
};

const setUp = 'ip link set lo up; hostname "$0"; exec "$@"';

const relayProgram = `
  const net = require('node:net');
  const [from, to] = process.argv.slice(1).map((end) =>
    /^[0-9]+$/.test(end) ? { host: '127.0.0.1', port: Number(end) } : { path: end });
  net.createServer((a) => {
    const b = net.connect(to);
    for (const [from, to] of [[a, b], [b, a]]) {
      from.pipe(to); from.on('error', () => to.destroy()); from.on('close', () => to.destroy());
    }
  }).listen(from, () => console.log('listens'));`;

/** The image that tests run: busybox with its applets, nothing else. */
export const testImage = 'keelson-test:busybox';

/** Debian's Docker Engine in directories of its own, on a socket of its own. */
export class TestEngine {
  readonly dir: string;
  readonly #started: string[] = [];
  #events: ReturnType<typeof spawn> | undefined;
  #daemon: ReturnType<typeof spawn> | undefined;

  readonly #namespace: string | undefined;
  readonly #flags: readonly string[];
  /** The name of its machine. */
  readonly #host: string;

  private constructor(dir: string, namespace: string | undefined, flags: readonly string[]) {
    this.dir = dir;
    this.#namespace = namespace;
    this.#flags = flags;
    this.#host = namespace ?? 'engine';
  }

  /**
   * Starts one that has {@link testImage}, in a network namespace of its own or in that one. Fails where `dockerd`
   * or busybox is not installed. `flags` are more of the daemon's.
   */
  static async start(
    options: { readonly namespace?: string; readonly flags?: readonly string[] } = {},
  ): Promise<TestEngine> {
    for (const program of ['/usr/sbin/dockerd', '/bin/busybox']) {
      if (existsSync(program)) continue;
      throw new Error(`${program} is not installed: apt-get install docker.io busybox-static`);
    }
    // Not in memory: overlayfs wants a file system that it knows, and paths of sockets are short.
    const dir = await mkdtemp(join('/var/tmp', 'keelson-docker-'));
    const engine = new TestEngine(dir, options.namespace, options.flags ?? []);
    try {
      await engine.restart();
      await engine.#importImage();
    } catch (error) {
      await engine.stop();
      throw error;
    }
    return engine;
  }

  get socket(): string {
    return join(this.dir, 's');
  }

  /** Of the daemon. */
  get pid(): number {
    const { pid } = this.#daemon ?? {};
    if (pid === undefined) throw new Error('The engine has not been started.');
    return pid;
  }

  /**
   * Passes connections on from one to the other: a port of the daemon's loopback, or a path of a socket. Answers how
   * to stop that.
   */
  async relay(from: number | string, to: number | string): Promise<() => void> {
    const [program = '', ...args] = [
      ...['nsenter', `--net=/proc/${this.pid}/ns/net`, process.execPath],
      ...['-e', relayProgram, String(from), String(to)],
    ];
    const relay = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(relay.stdout, 'data');
    return () => {
      relay.kill();
    };
  }

  get host(): string {
    return `unix://${this.socket}`;
  }

  /** Docker's own client. */
  async docker(...args: readonly string[]): Promise<string> {
    const { stdout } = await execute('docker', ['-H', this.host, ...args]);
    return stdout.trim();
  }

  /** Starts the daemon, after ending the one that runs: politely, or as a crash does. */
  async restart(how: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    await this.#end(how);
    for (let tries = 0; ; tries += 1) {
      await rm(join(this.dir, 'pid'), { force: true });
      await rm(join(this.dir, 'exec', 'containerd', 'containerd.pid'), { force: true });
      // Bridges and firewall rules are nobody else's. (Within `ip netns exec` there are no cgroups.)
      const enter =
        this.#namespace === undefined
          ? ['unshare', '--net']
          : ['nsenter', `--net=/var/run/netns/${this.#namespace}`];
      const [program = '', ...args] = [
        ...[...enter, 'unshare', '--uts', '/bin/sh', '-c', setUp, this.#host, '/usr/sbin/dockerd'],
        ...['--data-root', join(this.dir, 'data'), '--exec-root', join(this.dir, 'exec')],
        ...['--pidfile', join(this.dir, 'pid'), '-H', this.host, '--shutdown-timeout', '2'],
        ...this.#flags,
      ];
      const daemon = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: systemEnv });
      this.#daemon = daemon;
      const log = createWriteStream(join(this.dir, 'log'), { flags: 'a' });
      daemon.stdout?.pipe(log);
      daemon.stderr?.pipe(log);
      if (await this.#answers(daemon)) {
        this.#listen();
        return;
      }
      await this.#end('SIGKILL');
      if (tries === 2) {
        const text = await readFile(join(this.dir, 'log'), 'utf8');
        throw new Error(`dockerd does not start:\n${text.split('\n').slice(-15).join('\n')}`);
      }
    }
  }

  /** How often the daemon has logged this. */
  async logged(text: string): Promise<number> {
    return (await readFile(join(this.dir, 'log'), 'utf8')).split(text).length - 1;
  }

  /** `execution step` of each container that has begun, in the order in which they did. */
  get started(): readonly string[] {
    return this.#started;
  }

  #listen(): void {
    const labels =
      '{{index .Actor.Attributes "keelson.execution"}} {{index .Actor.Attributes "keelson.step"}}';
    const events = spawn('docker', [
      ...['-H', this.host, 'events', '--filter', 'event=start', '--filter', 'type=container'],
      ...['--since', String(Math.floor(Date.now() / 1000)), '--format', labels],
    ]);
    createInterface({ input: events.stdout }).on('line', (line) => this.#started.push(line));
    this.#events = events;
  }

  async #answers(daemon: ReturnType<typeof spawn>): Promise<boolean> {
    const until = performance.now() + 40_000;
    while (daemon.exitCode === null && performance.now() < until) {
      try {
        await this.docker('version');
        return true;
      } catch {
        await pause(100);
      }
    }
    return false;
  }

  async #end(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const daemon = this.#daemon;
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return;
    this.#events?.kill();
    daemon.kill(signal);
    await once(daemon, 'exit');
  }

  /** Makes an image of the Python of this machine: its program, libraries and standard library. */
  async importPython(name: string): Promise<void> {
    const root = await mkdtemp(join(tmpdir(), 'keelson-python-'));
    try {
      const script = `
        set -e
        python=$(readlink -f /usr/bin/python3)
        lib=$(/usr/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
        mkdir -p "$1/bin" "$1/tmp" "$1/usr/bin" "$1$(dirname "$lib")"
        chmod 1777 "$1/tmp"
        cp /bin/busybox "$1/bin/sh"
        cp "$python" "$1/usr/bin/python3"
        cp -a "$lib" "$1$lib"
        rm -rf "$1$lib"/dist-packages "$1$lib"/test
        for file in "$python" "$lib"/lib-dynload/*.so; do ldd "$file"; done |
          grep -o '/[^ ]*\\.so[^ ]*' | sort -u | while read -r so; do
            mkdir -p "$1$(dirname "$so")"; cp -L "$so" "$1$so"
          done
        tar -C "$1" -c . | docker -H "$2" import --change 'ENV PATH=/usr/bin:/bin' - "$3"`;
      await execute('/bin/sh', ['-c', script, 'sh', root, this.host, name]);
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  }

  async #importImage(): Promise<void> {
    const root = await mkdtemp(join(tmpdir(), 'keelson-image-'));
    try {
      for (const dir of ['bin', 'tmp', 'etc']) await mkdir(join(root, dir));
      await chmod(join(root, 'tmp'), 0o1777);
      await execute('cp', ['/bin/busybox', join(root, 'bin')]);
      const { stdout } = await execute('/bin/busybox', ['--list']);
      for (const applet of stdout.trim().split('\n')) {
        if (applet !== 'busybox') await symlink('busybox', join(root, 'bin', applet));
      }
      const archive = join(root, 'image.tar');
      await execute('tar', ['-C', root, '--exclude=./image.tar', '-cf', archive, '.']);
      await this.docker('import', '--change', 'ENV PATH=/bin', archive, testImage);
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  }

  /** As if its machine lost its power: the daemon and all containers are gone at once. */
  async crash(): Promise<void> {
    const pids = await this.docker('ps', '-q').then((ids) =>
      ids === '' ? '' : this.docker('inspect', '-f', '{{.State.Pid}}', ...ids.split('\n')),
    );
    await this.#end('SIGKILL');
    for (const pid of pids.split('\n').filter((line) => line !== '')) {
      process.kill(Number(pid), 'SIGKILL');
    }
  }

  async stop(): Promise<void> {
    // Containers end with it.
    const ids = await this.docker('ps', '-aq').catch(() => '');
    if (ids !== '') await this.docker('rm', '-f', ...ids.split('\n')).catch(() => undefined);
    await this.#end('SIGTERM');
    // A daemon that was killed has left those who watch its containers, and its mounts.
    await execute('pkill', ['-KILL', '-f', `${this.dir}/`]).catch(() => undefined);
    const mounts = (await readFile('/proc/mounts', 'utf8'))
      .split('\n')
      .map((line) => line.split(' ')[1] ?? '')
      .filter((path) => path.startsWith(`${this.dir}/`))
      .toSorted((a, b) => b.length - a.length);
    for (const path of mounts) await execute('umount', ['--lazy', path]).catch(() => undefined);
    await rm(this.dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }
}
