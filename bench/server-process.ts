import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import type { ServerName } from './serving-child.ts';

/** A process with one server. */
export class ServerProcess {
  readonly #child: ChildProcess;

  constructor(name: ServerName) {
    this.#child = fork(new URL('./serving-child.ts', import.meta.url), [name], {
      execArgv: ['--conditions=keelson:source', '--disable-warning=ExperimentalWarning'],
      serialization: 'advanced',
    });
  }

  async ask<T>(question: object): Promise<T> {
    this.#child.send(question);
    const [answer] = (await once(this.#child, 'message')) as [T];
    return answer;
  }

  async close(): Promise<void> {
    this.#child.disconnect();
    await once(this.#child, 'exit');
  }
}
