import type {
  AttemptKey,
  Executor,
  ExecutorCapabilities,
  LogChunk,
  TaskHandle,
  TaskObservation,
  TaskSpec,
} from '../contracts/executor.ts';
import { defined, equal, ok, rejects } from './assertions.ts';
import type { Case, Suite } from './suite.ts';

/** Work that a case asks for, in words that each executor has its own entries for. */
export type Work =
  /** Ends at once with this exit code (0 or another). */
  | { readonly does: 'exit'; readonly code: number }
  /** Runs until it is ended; heeds a polite request unless told otherwise. */
  | { readonly does: 'hang'; readonly heeds: boolean }
  /** Writes each text to its stream, one after the other, and ends with 0. */
  | {
      readonly does: 'print';
      readonly lines: readonly { readonly stream: 'stdout' | 'stderr'; readonly text: string }[];
    }
  /** Writes `begun`, waits until the file `go` is in the work directory, writes `over`, ends with 0. */
  | { readonly does: 'await' }
  /** Writes the values of these variables to stdout, each as `name=value` on a line. */
  | { readonly does: 'environment'; readonly names: readonly string[] }
  /** Copies the file at the path in one variable to the path in another. */
  | { readonly does: 'copy'; readonly from: string; readonly to: string }
  /** Takes this much memory and holds it for a while. */
  | { readonly does: 'fill'; readonly memoryBytes: number }
  /** Appends a line to the file `ran` of the work directory, and ends with 0. */
  | { readonly does: 'mark' }
  /** Of a gang: rank `rank` ends with 3 at once, the others hang; all end with 0 when there is none. */
  | { readonly does: 'failRank'; readonly rank: number };

/** Files of a case on the machine that submits. */
export interface TaskDirectory {
  readonly workDir: string;
  read(name: string): Promise<string | undefined>;
  write(name: string, text: string): Promise<void>;
}

/** What an adapter gives the suite. */
export interface ExecutorHarness extends AsyncDisposable {
  readonly executor: Executor;
  /** How the executor is told to do that; undefined where it cannot express it. */
  entry(work: Work): (Pick<TaskSpec, 'entry'> & Partial<TaskSpec>) | undefined;
  /** A new directory that tasks of the executor can see; undefined where its tasks have no files. */
  directory(): Promise<TaskDirectory | undefined>;
  /** Another executor on the same state, as a second process would have; undefined where tasks end with theirs. */
  another(): Promise<Executor | undefined>;
}

type ExecutorCase = Case<ExecutorHarness>;

let count = 0;

function keyOf(step: string, more: Partial<AttemptKey> = {}): AttemptKey {
  count += 1;
  return { workspace: 'w', executionId: `e${count}`, stepId: step, attempt: 1, ...more };
}

/** A task of this work, with the harness's own way to say it; undefined where it has none. */
function specOf(
  harness: ExecutorHarness,
  work: Work,
  more: Partial<TaskSpec> = {},
): TaskSpec | undefined {
  const made = harness.entry(work);
  if (made === undefined) return undefined;
  return {
    key: keyOf(work.does),
    env: {},
    input: {},
    resources: {},
    graceMs: 5000,
    ...made,
    ...more,
  };
}

const never = new AbortController().signal;

async function ran(harness: ExecutorHarness, spec: TaskSpec): Promise<TaskObservation> {
  const handle = await harness.executor.submit(spec);
  return harness.executor.wait(handle, { signal: never });
}

async function allOf(chunks: AsyncIterable<LogChunk>): Promise<readonly LogChunk[]> {
  const all: LogChunk[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return all;
}

function textOf(chunks: readonly LogChunk[], stream: LogChunk['stream']): string {
  return chunks
    .filter((chunk) => chunk.stream === stream)
    .map(({ text }) => text)
    .join('');
}

/** Resolves once the log has this text. */
async function untilLogged(executor: Executor, handle: TaskHandle, text: string): Promise<void> {
  let seen = '';
  for await (const chunk of executor.logs(handle, { follow: true })) {
    seen += chunk.text;
    if (seen.includes(text)) return;
  }
  ok(false, `the log has ${JSON.stringify(text)}; it has ${JSON.stringify(seen)}`);
}

async function listed(executor: Executor, key: AttemptKey): Promise<readonly AttemptKey[]> {
  const keys: AttemptKey[] = [];
  const { workspace, executionId } = key;
  for await (const each of executor.list({ workspace, executionId })) keys.push(each.key);
  return keys;
}

/** A case for executors that have such work. */
function withWork(
  name: string,
  promise: string,
  work: Work,
  run: (harness: ExecutorHarness, spec: TaskSpec) => Promise<void>,
  more: Partial<TaskSpec> = {},
): ExecutorCase {
  return {
    name,
    promise,
    async run(harness) {
      const spec = specOf(harness, work, more);
      if (spec !== undefined) await run(harness, spec);
    },
  };
}

/** A case for executors of which something is true. */
function whereCapable(
  capable: (capabilities: ExecutorCapabilities) => boolean,
  made: ExecutorCase,
): ExecutorCase {
  return {
    ...made,
    async run(harness) {
      if (capable(await harness.executor.capabilities())) await made.run(harness);
    },
  };
}

const ends: readonly ExecutorCase[] = [
  withWork(
    'end: exit code 0 is success',
    'a task that ends with 0 has succeeded, with times that make sense',
    { does: 'exit', code: 0 },
    async (harness, spec) => {
      const before = Date.now();
      const end = await ran(harness, spec);
      equal([end.state, end.exitCode], ['succeeded', 0], 'its end');
      const startedAt = defined(end.startedAt, 'when it started');
      const finishedAt = defined(end.finishedAt, 'when it finished');
      ok(startedAt >= before - 2000 && finishedAt >= startedAt, 'it finished after it started');
    },
  ),
  withWork(
    'end: another exit code is failure, and is told',
    'a task that ends with another code has failed by its exit, with that code and a message',
    { does: 'exit', code: 3 },
    async (harness, spec) => {
      const end = await ran(harness, spec);
      equal(end.state, 'failed', 'its end');
      equal(end.reason, 'exit', 'why');
      if (spec.entry.type === 'command' || spec.entry.type === 'image') {
        equal(end.exitCode, 3, 'its exit code');
      }
      ok((end.message ?? '') !== '', 'there is a message');
    },
  ),
  withWork(
    'end: is told again and again',
    'wait and attach answer the same end however often they are asked, also at once',
    { does: 'exit', code: 0 },
    async (harness, spec) => {
      const { executor } = harness;
      const handle = await executor.submit(spec);
      const ends = await Promise.all(
        Array.from({ length: 3 }, () => executor.wait(handle, { signal: never })),
      );
      ends.push(await executor.wait(handle, { signal: never }));
      ends.push(defined(await executor.attach(handle), 'attach'));
      for (const end of ends) equal(end.state, 'succeeded', 'each answer');
    },
  ),
  withWork(
    'wait: aborting it stops the waiting, not the task',
    'an aborted wait rejects with ABORTED, and the task runs on',
    { does: 'hang', heeds: true },
    async (harness, spec) => {
      const { executor } = harness;
      const handle = await executor.submit(spec);
      const controller = new AbortController();
      const waiting = executor.wait(handle, { signal: controller.signal });
      controller.abort(new Error('enough'));
      await rejects('ABORTED', () => waiting, 'the wait');
      await rejects(
        'ABORTED',
        () => executor.wait(handle, { signal: controller.signal }),
        'a late wait',
      );
      const still = defined(await executor.attach(handle), 'attach');
      ok(['queued', 'starting', 'running'].includes(still.state), `it runs on: ${still.state}`);
      equal(await executor.cancel(handle, { graceMs: 3000 }), 'gone', 'the cancel');
    },
  ),
  withWork(
    'deadline: a task that takes too long is ended',
    'a task past its deadline has failed with reason `deadline`',
    { does: 'hang', heeds: true },
    async (harness, spec) => {
      const end = await ran(harness, { ...spec, deadlineMs: 300, graceMs: 2000 });
      equal([end.state, end.reason], ['failed', 'deadline'], 'its end');
    },
  ),
];

const submits: readonly ExecutorCase[] = [
  withWork(
    'submit: twice is once',
    'submitting one key again, also at once, answers one handle and runs one task',
    { does: 'mark' },
    async (harness, spec) => {
      const { executor } = harness;
      const directory = await harness.directory();
      const files = directory && { workDir: directory.workDir, inputs: {} };
      const whole = { ...spec, ...(files === undefined ? {} : { files }) };
      const handles = await Promise.all(Array.from({ length: 5 }, () => executor.submit(whole)));
      for (const handle of handles) equal(handle.id, handles[0]?.id, 'one handle');
      const [handle] = handles as [TaskHandle];
      equal((await executor.wait(handle, { signal: never })).state, 'succeeded', 'its end');
      equal((await executor.submit(whole)).id, handle.id, 'the handle of a late submit');
      equal((await listed(executor, spec.key)).length, 1, 'one task is listed');
      if (directory !== undefined) equal(await directory.read('ran'), 'ran\n', 'it ran once');
    },
  ),
  withWork(
    'submit: attempts, steps, executions and workspaces are told apart',
    'keys that differ in any part name tasks of their own, whatever characters they have',
    { does: 'exit', code: 0 },
    async (harness, spec) => {
      const { executor } = harness;
      const base = { ...spec.key, stepId: 'träin/the model [0]' };
      const keys: AttemptKey[] = [
        base,
        { ...base, attempt: 2 },
        { ...base, stepId: `${base.stepId}x`.repeat(20) },
        { ...base, executionId: `${base.executionId}b` },
        { ...base, workspace: 'Ω"/..' },
      ];
      const handles: TaskHandle[] = [];
      for (const key of keys) handles.push(await executor.submit({ ...spec, key }));
      equal(new Set(handles.map(({ id }) => id)).size, keys.length, 'handles');
      for (const handle of handles) {
        equal((await executor.wait(handle, { signal: never })).state, 'succeeded', 'each end');
      }
      const seen: AttemptKey[] = [];
      for await (const { key } of executor.list({
        workspace: 'w',
        executionId: base.executionId,
      })) {
        seen.push(key);
      }
      const byText = (a: AttemptKey, b: AttemptKey): number =>
        JSON.stringify(a) < JSON.stringify(b) ? -1 : 1;
      equal(seen.toSorted(byText), keys.slice(0, 3).toSorted(byText), 'those of one execution');
    },
  ),
  {
    name: 'submit: what it cannot run is refused',
    promise:
      'entries that are not among the capabilities are UNSUPPORTED, keys that are none INVALID',
    async run({ executor, entry }) {
      const { entries } = await executor.capabilities();
      const all: readonly TaskSpec['entry'][] = [
        { type: 'function', name: 'f' },
        { type: 'module', module: '/no/module.js', export: 'f' },
        { type: 'command', command: ['true'] },
        { type: 'image', image: 'no-such-image:1' },
      ];
      const rest = { key: keyOf('x'), env: {}, input: {}, resources: {}, graceMs: 100 };
      for (const each of all.filter(({ type }) => !entries.includes(type))) {
        await rejects('UNSUPPORTED', () => executor.submit({ ...rest, entry: each }), each.type);
      }
      const sound = defined(entry({ does: 'exit', code: 0 }), 'an entry');
      for (const key of [
        { ...rest.key, attempt: 0 },
        { ...rest.key, stepId: '' },
        { ...rest.key, attempt: 1.5 },
      ]) {
        await rejects(
          'INVALID',
          () => executor.submit({ ...rest, ...sound, key }),
          JSON.stringify(key),
        );
      }
    },
  },
  withWork(
    'submit: many at once',
    'fifty tasks that are submitted at once all end, each with its own end',
    { does: 'exit', code: 0 },
    async (harness, spec) => {
      const { executor } = harness;
      const ends = await Promise.all(
        Array.from({ length: 50 }, async (_, i) => {
          const key = { ...spec.key, stepId: `s${i}` };
          const handle = await executor.submit({ ...spec, key });
          const end = await executor.wait(handle, { signal: never });
          await executor.release(handle);
          return end.state;
        }),
      );
      equal(new Set(ends), new Set(['succeeded']), 'their ends');
    },
  ),
];

const cancels: readonly ExecutorCase[] = [
  withWork(
    'cancel: one that heeds is gone',
    'a cancelled task is ended and says so',
    { does: 'hang', heeds: true },
    async (harness, spec) => {
      const { executor } = harness;
      const handle = await executor.submit(spec);
      const waiting = executor.wait(handle, { signal: never });
      equal(await executor.cancel(handle, { graceMs: 5000 }), 'gone', 'the cancel');
      equal((await waiting).state, 'cancelled', 'its end');
      const again = await executor.cancel(handle, { graceMs: 5000 });
      equal(again, 'already-final', 'a second cancel');
    },
  ),
  whereCapable(
    ({ isolation }) => isolation !== 'none',
    withWork(
      'cancel: one that does not heed is killed after its grace time',
      'the grace time over, what remains is killed, and the answer is `gone` only when it is',
      { does: 'hang', heeds: false },
      async (harness, spec) => {
        const { executor } = harness;
        const handle = await executor.submit(spec);
        await untilLogged(executor, handle, 'hanging');
        const before = performance.now();
        equal(await executor.cancel(handle, { graceMs: 500 }), 'gone', 'the cancel');
        ok(performance.now() - before >= 450, 'it had its grace time');
        equal((await executor.attach(handle))?.state, 'cancelled', 'its end');
      },
    ),
  ),
  withWork(
    'cancel: an ended task stays as it ended',
    'a cancel of a task that has ended answers `already-final` and changes nothing',
    { does: 'exit', code: 0 },
    async (harness, spec) => {
      const { executor } = harness;
      const handle = await executor.submit(spec);
      await executor.wait(handle, { signal: never });
      equal(await executor.cancel(handle, { graceMs: 100 }), 'already-final', 'the cancel');
      equal((await executor.attach(handle))?.state, 'succeeded', 'its end');
    },
  ),
  withWork(
    'release: forgets an ended task',
    'release forgets; twice is fine; afterwards attach answers undefined, the rest NOT_FOUND',
    { does: 'exit', code: 0 },
    async (harness, spec) => {
      const { executor } = harness;
      const handle = await executor.submit(spec);
      await executor.wait(handle, { signal: never });
      await executor.release(handle);
      await executor.release(handle);
      equal(await executor.attach(handle), undefined, 'attach');
      equal(await listed(executor, spec.key), [], 'list');
      await rejects('NOT_FOUND', () => executor.wait(handle, { signal: never }), 'wait');
      await rejects('NOT_FOUND', () => executor.cancel(handle, { graceMs: 10 }), 'cancel');
    },
  ),
  withWork(
    'release: not while it runs',
    'release of a running task is CONFLICT: it would go on unseen',
    { does: 'hang', heeds: true },
    async (harness, spec) => {
      const { executor } = harness;
      const handle = await executor.submit(spec);
      await rejects('CONFLICT', () => executor.release(handle), 'release');
      await executor.cancel(handle, { graceMs: 5000 });
      await executor.release(handle);
    },
  ),
];

const logs: readonly ExecutorCase[] = [
  withWork(
    'logs: both streams, after the end',
    'all that was written is there after the end, each stream in its order, with times and cursors',
    {
      does: 'print',
      lines: [
        { stream: 'stdout', text: 'one\n' },
        { stream: 'stderr', text: 'two ✓ größer\n' },
        { stream: 'stdout', text: 'three, without an end' },
      ],
    },
    async (harness, spec) => {
      const { executor } = harness;
      const handle = await executor.submit(spec);
      await executor.wait(handle, { signal: never });
      const chunks = await allOf(executor.logs(handle));
      equal(textOf(chunks, 'stdout'), 'one\nthree, without an end', 'stdout');
      equal(textOf(chunks, 'stderr'), 'two ✓ größer\n', 'stderr');
      for (const { at } of chunks) ok(Math.abs(Date.now() - at) < 60_000, 'its time makes sense');
      for (const [i, { cursor }] of chunks.entries()) {
        const rest = await allOf(executor.logs(handle, { after: cursor }));
        const text = (all: readonly LogChunk[]): string =>
          `${textOf(all, 'stdout')}|${textOf(all, 'stderr')}`;
        equal(text(rest), text(chunks.slice(i + 1)), `behind chunk ${i}`);
      }
    },
  ),
  withWork(
    'logs: a task that writes nothing',
    'the log of a silent task is empty, followed too',
    { does: 'exit', code: 0 },
    async (harness, spec) => {
      const handle = await harness.executor.submit(spec);
      equal(await allOf(harness.executor.logs(handle, { follow: true })), [], 'the log');
    },
  ),
  withWork(
    'logs: long lines are whole',
    'a line of a megabyte of several-byte characters comes out as it went in',
    { does: 'print', lines: [{ stream: 'stdout', text: 'ü€𝄞'.repeat(110_000) }] },
    async (harness, spec) => {
      const { executor } = harness;
      const handle = await executor.submit(spec);
      const followed = await allOf(executor.logs(handle, { follow: true }));
      const whole = 'ü€𝄞'.repeat(110_000);
      ok(textOf(followed, 'stdout') === whole, 'followed, it is whole');
      ok(textOf(await allOf(executor.logs(handle)), 'stdout') === whole, 'read later, it is whole');
    },
  ),
  {
    name: 'logs: follow a running task to its end',
    promise: 'a follower sees what is written while it is written, and ends with the task',
    async run(harness) {
      const directory = await harness.directory();
      if (directory === undefined) return;
      const files = { workDir: directory.workDir, inputs: {} };
      const spec = specOf(harness, { does: 'await' }, { files });
      if (spec === undefined) return;
      const { executor } = harness;
      const handle = await executor.submit(spec);
      let seen = '';
      for await (const chunk of executor.logs(handle, { follow: true })) {
        seen += chunk.text;
        if (seen.trim() === 'begun') await directory.write('go', '');
      }
      equal(seen.replaceAll('\r', ''), 'begun\nover\n', 'what was followed');
      equal((await executor.attach(handle))?.state, 'succeeded', 'its end');
    },
  },
  withWork(
    'logs: following stops by its signal',
    'an aborted follower stops, and the task runs on',
    { does: 'hang', heeds: true },
    async (harness, spec) => {
      const { executor } = harness;
      const handle = await executor.submit(spec);
      const controller = new AbortController();
      const following = allOf(executor.logs(handle, { follow: true, signal: controller.signal }));
      controller.abort(new Error('enough'));
      await following.then(
        () => undefined,
        () => undefined,
      );
      const state = (await executor.attach(handle))?.state ?? '';
      ok(['queued', 'starting', 'running'].includes(state), `it runs on: ${state}`);
      await executor.cancel(handle, { graceMs: 5000 });
    },
  ),
];

const files: readonly ExecutorCase[] = [
  {
    name: 'environment: what is given, and paths as the task sees them',
    promise: 'variables arrive unchanged, whatever characters they have; paths lead to the files',
    async run(harness) {
      const directory = await harness.directory();
      if (directory === undefined) return;
      await directory.write('in.txt', 'what goes in\n');
      const env = { PLAIN: 'a b', ODD: `"quoted" $HOME \\ 'x' ü` };
      const pathEnv = {
        FROM: `${directory.workDir}/in.txt`,
        TO: `${directory.workDir}/out.txt`,
      };
      const where = { workDir: directory.workDir, inputs: {} };
      const names = Object.keys(env);
      const told = specOf(harness, { does: 'environment', names }, { env, pathEnv, files: where });
      if (told === undefined) return;
      const handle = await harness.executor.submit(told);
      await harness.executor.wait(handle, { signal: never });
      const lines = textOf(await allOf(harness.executor.logs(handle)), 'stdout')
        .trim()
        .split('\n');
      equal(
        lines,
        names.map((name) => `${name}=${env[name as keyof typeof env]}`),
        'variables',
      );
      const copy = { does: 'copy', from: 'FROM', to: 'TO' } as const;
      const copies = defined(
        specOf(harness, copy, { env, pathEnv, files: where }),
        'an entry that copies',
      );
      equal((await ran(harness, copies)).state, 'succeeded', 'the copy');
      equal(await directory.read('out.txt'), 'what goes in\n', 'what came out');
    },
  },
  {
    name: 'environment: nothing of the submitter that was not given',
    promise: 'secrets in the environment of the process that submits do not reach the task',
    async run(harness) {
      const name = 'KEELSON_SUITE_SECRET';
      const spec = specOf(harness, { does: 'environment', names: [name] });
      const { isolation } = await harness.executor.capabilities();
      if (spec === undefined || isolation === 'none' || isolation === 'thread') return;
      process.env[name] = 'hidden';
      try {
        const handle = await harness.executor.submit(spec);
        await harness.executor.wait(handle, { signal: never });
        const text = textOf(await allOf(harness.executor.logs(handle)), 'stdout');
        equal(text.trim(), `${name}=`, 'the variable');
      } finally {
        delete process.env[name];
      }
    },
  },
];

const limits: readonly ExecutorCase[] = [
  whereCapable(
    ({ limits: { memory } }) => memory === 'enforced',
    withWork(
      'memory: more than it was given is `oom`, with the limit',
      'a task that uses more memory than it was given fails with reason `oom`, naming the limit',
      { does: 'fill', memoryBytes: 400 * 2 ** 20 },
      async (harness, spec) => {
        const end = await ran(harness, { ...spec, resources: { memoryBytes: 128 * 2 ** 20 } });
        equal([end.state, end.reason], ['failed', 'oom'], 'its end');
        ok(/128 MiB/.test(end.message ?? ''), `its message names the limit: ${end.message}`);
      },
    ),
  ),
  whereCapable(
    ({ usage }) => usage !== 'none',
    withWork(
      'usage: told after the end',
      'the time that a task took is told after its end, and its processor time where it is known',
      { does: 'exit', code: 0 },
      async (harness, spec) => {
        const { executor } = harness;
        const handle = await executor.submit(spec);
        const end = await executor.wait(handle, { signal: never });
        const usage = defined(await executor.usage(handle), 'usage');
        const tookMs = (end.finishedAt ?? 0) - (end.startedAt ?? 0);
        ok(usage.wallMs >= 0 && usage.wallMs <= tookMs + 1000, `${usage.wallMs} ms of ${tookMs}`);
      },
    ),
  ),
];

const survivals: readonly ExecutorCase[] = [
  whereCapable(({ survivesOrchestrator }) => survivesOrchestrator, {
    name: 'attach: another executor finds what runs, and its end',
    promise:
      'tasks outlive the executor that submitted them; another one watches, reads and ends them',
    async run(harness) {
      const directory = await harness.directory();
      const where = directory && { files: { workDir: directory.workDir, inputs: {} } };
      const spec = specOf(harness, { does: 'await' }, where ?? {});
      if (directory === undefined || spec === undefined) return;
      const handle = await harness.executor.submit(spec);
      await untilLogged(harness.executor, handle, 'begun');
      await harness.executor.close();
      const other = defined(await harness.another(), 'another executor');
      await using _ = other;
      equal((await listed(other, spec.key)).length, 1, 'it is listed');
      equal((await other.attach(handle))?.state, 'running', 'it runs');
      equal((await other.submit(spec)).id, handle.id, 'submitted again it is the same');
      const waiting = other.wait(handle, { signal: never });
      await directory.write('go', '');
      equal((await waiting).state, 'succeeded', 'its end');
      const chunks = await allOf(other.logs(handle));
      equal(textOf(chunks, 'stdout'), 'begun\nover\n', 'its whole log');
      await other.release(handle);
      equal(await other.attach(handle), undefined, 'released, it is forgotten');
    },
  }),
  whereCapable(({ survivesOrchestrator }) => survivesOrchestrator, {
    name: 'submit: two executors at once are one task',
    promise: 'two processes that submit one key at once get one handle, and one task runs',
    async run(harness) {
      const directory = await harness.directory();
      const where = directory && { files: { workDir: directory.workDir, inputs: {} } };
      const spec = specOf(harness, { does: 'mark' }, where ?? {});
      if (directory === undefined || spec === undefined) return;
      await using other = defined(await harness.another(), 'another executor');
      const [a, b] = await Promise.all([harness.executor.submit(spec), other.submit(spec)]);
      equal(a.id, b.id, 'one handle');
      equal((await other.wait(a, { signal: never })).state, 'succeeded', 'its end');
      equal(await directory.read('ran'), 'ran\n', 'it ran once');
    },
  }),
];

const gangs: readonly ExecutorCase[] = [
  whereCapable(
    ({ gang }) => gang !== 'none',
    withWork(
      'gang: each has its rank',
      'the processes of a gang have ranks from 0, one world, and one place to meet',
      { does: 'environment', names: ['RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'] },
      async (harness, spec) => {
        const gang = { nodes: 2, processesPerNode: 2 };
        const handle = await harness.executor.submit({ ...spec, gang });
        const end = await harness.executor.wait(handle, { signal: never });
        equal(end.state, 'succeeded', 'its end');
        const text = textOf(await allOf(harness.executor.logs(handle)), 'stdout');
        const all = (name: string) =>
          [...text.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value]) => value);
        equal(all('RANK').toSorted(), ['0', '1', '2', '3'], 'ranks');
        equal(all('WORLD_SIZE'), ['4', '4', '4', '4'], 'the world');
        equal(new Set(all('MASTER_PORT')).size, 1, 'one port');
        ok(
          all('MASTER_ADDR').every((value) => value !== ''),
          'an address',
        );
      },
    ),
  ),
  whereCapable(
    ({ gang }) => gang !== 'none',
    withWork(
      'gang: one fails, all end',
      'when one of a gang fails, the others are ended, and the task has failed',
      { does: 'failRank', rank: 1 },
      async (harness, spec) => {
        const end = await ran(harness, { ...spec, gang: { nodes: 1, processesPerNode: 3 } });
        equal(end.state, 'failed', 'its end');
        const members = defined(end.members, 'members');
        equal(members.length, 3, 'members');
        ok(
          members.every(({ state }) => state !== 'running'),
          'all have ended',
        );
      },
    ),
  ),
];

const lifecycle: readonly ExecutorCase[] = [
  {
    name: 'capacity: names a pool with machines, or nothing',
    promise: 'what may be reserved is told with sizes that make sense',
    async run({ executor }) {
      const capacity = await executor.capacity();
      if (capacity === undefined) return;
      ok(capacity.pool !== '' && capacity.machines.length > 0, 'a pool with machines');
      for (const { cpuCores, memoryBytes } of capacity.machines) {
        ok(cpuCores > 0 && memoryBytes > 2 ** 20, `${cpuCores} cores, ${memoryBytes} bytes`);
      }
    },
  },
  {
    name: 'close: everything rejects with CLOSED',
    promise: 'after close every call rejects with CLOSED, and close may be called again',
    async run({ executor, entry }) {
      equal((await executor.health()).ok, true, 'health before');
      await executor.close();
      await executor.close();
      const handle = { executor: executor.name, id: 'x', native: {} };
      const sound = defined(entry({ does: 'exit', code: 0 }), 'an entry');
      const spec = { key: keyOf('x'), env: {}, input: {}, resources: {}, graceMs: 1, ...sound };
      await rejects('CLOSED', () => executor.submit(spec), 'submit');
      await rejects('CLOSED', () => executor.attach(handle), 'attach');
      await rejects('CLOSED', () => executor.wait(handle, { signal: never }), 'wait');
      await rejects('CLOSED', () => executor.release(handle), 'release');
      equal((await executor.health()).ok, false, 'health after');
    },
  },
  {
    name: 'unknown: a handle of nothing',
    promise: 'attach answers undefined for what was never submitted, wait and cancel NOT_FOUND',
    async run(harness) {
      const { executor } = harness;
      const spec = specOf(harness, { does: 'exit', code: 0 });
      const real = await executor.submit(defined(spec, 'a task'));
      await executor.wait(real, { signal: never });
      for (const id of ['0'.repeat(32), '../../etc', '']) {
        const handle = { ...real, id };
        equal(await executor.attach(handle), undefined, `attach ${id}`);
        await rejects('NOT_FOUND', () => executor.wait(handle, { signal: never }), `wait ${id}`);
        await rejects('NOT_FOUND', () => executor.cancel(handle, { graceMs: 1 }), `cancel ${id}`);
      }
    },
  },
];

/**
 * The promises of `Executor`. Cases that need what an executor does not have pass it by: by its capabilities,
 * and by the entries and files that the harness has none of.
 */
export const executorSuite: Suite<ExecutorHarness> = {
  contract: 'Executor',
  cases: [
    ...ends,
    ...submits,
    ...cancels,
    ...logs,
    ...files,
    ...limits,
    ...survivals,
    ...gangs,
    ...lifecycle,
  ],
};
