import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { systemEnv, TestEngine } from './test-engine.ts';

const execute = promisify(execFile);

function run(program: string, args: readonly string[]): Promise<{ readonly stdout: string }> {
  return execute(program, args, { env: systemEnv });
}

/** Three engines that are a swarm, each in a network namespace of its own, joined by a bridge in a fourth. */
export class TestSwarm {
  readonly #name = `k${randomBytes(3).toString('hex')}`;
  readonly nodes: TestEngine[] = [];

  /** The first node is the manager; `zone=a` is a label of the last. */
  static async start(count = 3): Promise<TestSwarm> {
    const swarm = new TestSwarm();
    try {
      await swarm.#start(count);
    } catch (error) {
      await swarm.stop();
      throw error;
    }
    return swarm;
  }

  get manager(): TestEngine {
    const [first] = this.nodes;
    if (first === undefined) throw new Error('The swarm has not been started.');
    return first;
  }

  async #start(count: number): Promise<void> {
    const hub = this.#namespace('hub');
    await run('ip', ['netns', 'add', hub]);
    await ip(hub, 'link', 'add', 'name', 'br0', 'type', 'bridge');
    await ip(hub, 'link', 'set', 'br0', 'up');
    for (let i = 0; i < count; i += 1) {
      const space = this.#namespace(`n${i}`);
      await run('ip', ['netns', 'add', space]);
      await ip(hub, 'link', 'add', `v${i}`, 'type', 'veth', 'peer', 'name', 'up0', 'netns', space);
      await ip(hub, 'link', 'set', `v${i}`, 'master', 'br0', 'up');
      await ip(space, 'addr', 'add', `10.88.0.${i + 1}/24`, 'dev', 'up0');
      await ip(space, 'link', 'set', 'up0', 'up');
    }
    this.nodes.push(
      ...(await Promise.all(
        Array.from({ length: count }, (_, i) =>
          TestEngine.start({ namespace: this.#namespace(`n${i}`) }),
        ),
      )),
    );
    await this.manager.docker('swarm', 'init', '--advertise-addr', '10.88.0.1');
    const token = await this.manager.docker('swarm', 'join-token', '-q', 'worker');
    for (const node of this.nodes.slice(1)) {
      await node.docker('swarm', 'join', '--token', token, '10.88.0.1:2377');
    }
    const last = await this.nodes.at(-1)?.docker('info', '-f', '{{.Swarm.NodeID}}');
    await this.manager.docker('node', 'update', '--label-add', 'zone=a', last ?? '');
  }

  /** Whether a node (`n0` …) takes work. */
  async availability(node: string, availability: 'active' | 'drain'): Promise<void> {
    const host = this.#namespace(node);
    await this.manager.docker('node', 'update', '--availability', availability, host);
  }

  #namespace(part: string): string {
    return `${this.#name}${part}`;
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop().catch(() => undefined)));
    const { stdout } = await run('ip', ['netns', 'list']);
    for (const line of stdout.split('\n')) {
      const [name = ''] = line.split(' ');
      if (name.startsWith(this.#name)) await run('ip', ['netns', 'delete', name]);
    }
  }
}

function ip(namespace: string, ...args: readonly string[]): Promise<unknown> {
  return run('ip', ['-n', namespace, ...args]);
}
