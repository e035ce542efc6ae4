import type {
  Executor,
  LogChunk,
  TaskHandle,
  TaskObservation,
  TaskSpec,
} from '../../src/contracts/executor.ts';

/** An executor that breaks a promise, and the case that must notice. */
export interface BrokenExecutor {
  readonly breaks: string;
  wrap(executor: Executor): Executor;
}

/** The executor with some methods in place of its own. */
function having(executor: Executor, methods: Partial<Executor>): Executor {
  return new Proxy(executor, {
    get(target, name) {
      const own = methods[name as keyof Executor];
      if (own !== undefined) return own;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}

async function* mapped(
  chunks: AsyncIterable<LogChunk>,
  map: (chunk: LogChunk) => LogChunk | undefined,
): AsyncGenerator<LogChunk, void, undefined> {
  for await (const chunk of chunks) {
    const made = map(chunk);
    if (made !== undefined) yield made;
  }
}

type Change = (observation: TaskObservation) => TaskObservation;

/** What is observed, changed. */
function observing(executor: Executor, change: Change): Executor {
  return having(executor, {
    wait: async (handle, options) => change(await executor.wait(handle, options)),
    attach: async (handle) => {
      const seen = await executor.attach(handle);
      return seen && change(seen);
    },
  });
}

function submitting(executor: Executor, change: (spec: TaskSpec) => TaskSpec): Executor {
  return having(executor, { submit: (spec) => executor.submit(change(spec)) });
}

let runs = 0;

/** Executors that break one promise each. */
export const brokenExecutors: readonly BrokenExecutor[] = [
  {
    breaks: 'end: exit code 0 is success',
    wrap: (executor) => observing(executor, ({ finishedAt: _, ...rest }) => rest),
  },
  {
    breaks: 'end: another exit code is failure, and is told',
    wrap: (executor) =>
      observing(executor, (seen) => ({
        ...seen,
        state: seen.state === 'failed' ? 'succeeded' : seen.state,
      })),
  },
  {
    breaks: 'end: is told again and again',
    wrap(executor) {
      const told = new Set<string>();
      return having(executor, {
        async wait(handle, options) {
          const end = await executor.wait(handle, options);
          if (told.has(handle.id)) return { ...end, state: 'lost' };
          told.add(handle.id);
          return end;
        },
      });
    },
  },
  {
    breaks: 'wait: aborting it stops the waiting, not the task',
    wrap: (executor) =>
      having(executor, {
        async wait(handle, options) {
          try {
            return await executor.wait(handle, options);
          } catch (error) {
            await executor.cancel(handle, { graceMs: 0 });
            throw error;
          }
        },
      }),
  },
  {
    breaks: 'deadline: a task that takes too long is ended',
    wrap: (executor) =>
      observing(executor, (seen) =>
        seen.reason === 'deadline' ? { ...seen, reason: 'exit' } : seen,
      ),
  },
  {
    breaks: 'submit: twice is once',
    wrap: (executor) =>
      submitting(executor, (spec) => {
        runs += 1;
        return { ...spec, key: { ...spec.key, stepId: `${spec.key.stepId}${runs}` } };
      }),
  },
  {
    breaks: 'submit: attempts, steps, executions and workspaces are told apart',
    wrap: (executor) =>
      submitting(executor, (spec) => ({ ...spec, key: { ...spec.key, attempt: 1 } })),
  },
  {
    breaks: 'submit: what it cannot run is refused',
    wrap: (executor) =>
      submitting(executor, (spec) =>
        spec.entry.type === 'image'
          ? { ...spec, entry: { type: 'command', command: ['true'] } }
          : spec,
      ),
  },
  {
    breaks: 'cancel: one that heeds is gone',
    wrap: (executor) =>
      observing(executor, (seen) =>
        seen.state === 'cancelled' ? { ...seen, state: 'failed' } : seen,
      ),
  },
  {
    breaks: 'cancel: one that does not heed is killed after its grace time',
    wrap: (executor) =>
      having(executor, { cancel: (handle) => executor.cancel(handle, { graceMs: 0 }) }),
  },
  {
    breaks: 'cancel: an ended task stays as it ended',
    wrap: (executor) =>
      having(executor, {
        async cancel(handle, options) {
          const answer = await executor.cancel(handle, options);
          return answer === 'already-final' ? 'gone' : answer;
        },
      }),
  },
  {
    breaks: 'release: forgets an ended task',
    wrap: (executor) => having(executor, { release: async () => undefined }),
  },
  {
    breaks: 'release: not while it runs',
    wrap: (executor) =>
      having(executor, {
        async release(handle: TaskHandle) {
          await executor.cancel(handle, { graceMs: 0 });
          await executor.release(handle);
        },
      }),
  },
  {
    breaks: 'logs: both streams, after the end',
    wrap: (executor) =>
      having(executor, {
        logs: (handle, options) =>
          mapped(executor.logs(handle, options), (chunk) => ({ ...chunk, stream: 'stdout' })),
      }),
  },
  {
    breaks: 'logs: a task that writes nothing',
    wrap: (executor) =>
      having(executor, {
        async *logs(handle, options) {
          yield { stream: 'stdout', at: Date.now(), text: '', cursor: '0.0' };
          yield* executor.logs(handle, options);
        },
      }),
  },
  {
    breaks: 'logs: long lines are whole',
    wrap: (executor) =>
      having(executor, {
        logs: (handle, options) =>
          mapped(executor.logs(handle, options), (chunk) => ({
            ...chunk,
            text: Buffer.from(chunk.text).subarray(0, 60_000).toString('utf8'),
          })),
      }),
  },
  {
    breaks: 'environment: what is given, and paths as the task sees them',
    wrap: (executor) =>
      submitting(executor, (spec) => ({
        ...spec,
        env: Object.fromEntries(
          Object.entries(spec.env).map(([key, value]) => [key, value.replaceAll('"', '')]),
        ),
      })),
  },
  {
    breaks: 'environment: nothing of the submitter that was not given',
    wrap: (executor) =>
      submitting(executor, (spec) => ({
        ...spec,
        env: { ...(process.env as Record<string, string>), ...spec.env },
      })),
  },
  {
    breaks: 'memory: more than it was given is `oom`, with the limit',
    wrap: (executor) => submitting(executor, (spec) => ({ ...spec, resources: {} })),
  },
  {
    breaks: 'usage: told after the end',
    wrap: (executor) => having(executor, { usage: async () => undefined }),
  },
  {
    breaks: 'gang: each has its rank',
    wrap: (executor) =>
      submitting(executor, (spec) => ({
        ...spec,
        env: { ...spec.env },
        ...(spec.gang === undefined ? {} : { gang: { nodes: 1, processesPerNode: 1 } }),
      })),
  },
  {
    breaks: 'close: everything rejects with CLOSED',
    wrap: (executor) => having(executor, { close: async () => undefined }),
  },
  {
    breaks: 'unknown: a handle of nothing',
    wrap: (executor) =>
      having(executor, {
        attach: async (handle) => (await executor.attach(handle)) ?? { state: 'lost' },
      }),
  },
  {
    breaks: 'capacity: names a pool with machines, or nothing',
    wrap: (executor) => having(executor, { capacity: async () => ({ pool: 'p', machines: [] }) }),
  },
];
