/**
 * Hands every method of every service whatever a program might hand over by mistake or on purpose:
 * `hostile-arguments <dir>`. Prints what went wrong as a line of JSON each, then `called N`.
 */
import { inspect } from 'node:util';
import { isKeelsonError } from '../../src/errors.ts';
import * as core from '../../src/index.ts';
import { openPlatform, type Platform } from '../../src/open-platform.ts';
import type { ActiveRun } from '../../src/tracking/active-run.ts';
import { methodsBelow } from '../methods-of-services.ts';

const trap = new Error('a trap');

/** Everything that a program hands over by mistake, or that a stranger does on purpose. */
function hostileValues(): readonly unknown[] {
  const cyclic: Record<string, unknown> = {};
  cyclic['self'] = cyclic;
  let deep: unknown = 1;
  for (let i = 0; i < 100_000; i += 1) deep = { a: deep };
  const refuse = (): never => {
    throw trap;
  };
  const traps = new Proxy(
    {},
    { get: refuse, has: refuse, ownKeys: refuse, getPrototypeOf: refuse },
  );
  const getter = Object.defineProperty({}, 'name', { get: refuse, enumerable: true });
  return [
    undefined,
    null,
    '',
    'x',
    '\u0000',
    '\ud800',
    '../../etc/passwd',
    "'; DROP TABLE rec_run; --",
    'y'.repeat(1_000_000),
    0,
    -1,
    42.5,
    Number.NaN,
    2 ** 60,
    10n ** 30n,
    true,
    Symbol('s'),
    () => undefined,
    [],
    [null],
    ['x', 'x'],
    {},
    { name: 'x' },
    { name: 5, id: {}, experiment: [], model: null, to: 7, from: 7 },
    JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1}') as unknown,
    Object.create(null) as unknown,
    new Date(Number.NaN),
    new Map([['a', 1]]),
    new Uint8Array(3),
    cyclic,
    deep,
    getter,
    traps,
  ];
}

type Call = (...args: readonly unknown[]) => unknown;

/** Each method of each service and of a run, each exported function; new ones come along by themselves. */
function methodsOf(
  platform: Platform,
  run: ActiveRun,
  ended: ActiveRun,
): readonly (readonly [name: string, call: Call])[] {
  const services = {
    tracking: platform.tracking,
    registry: platform.registry,
    pipelines: platform.pipelines,
    deployments: platform.deployments,
    monitoring: platform.monitoring,
    events: platform.events,
    operations: platform.operations,
    run,
  } as unknown as Record<string, Record<string, unknown>>;
  const found: (readonly [string, Call])[] = [['as', (...args) => platform.as(args[0] as never)]];
  for (const [name, exported] of Object.entries(core)) {
    const isClass = /^class\b/.test(String(exported));
    if (typeof exported !== 'function' || isClass) continue;
    found.push([name, (...args) => Reflect.apply(exported, undefined, args)]);
  }
  // It ends at its first call, and refuses the others.
  found.push(['ended.finish', (...args) => Reflect.apply(ended.finish, ended, args)]);
  for (const [service, methods] of Object.entries(services)) {
    found.push(...methodsBelow(service, methods));
  }
  return found;
}

/** What is wrong with how a call went; undefined for an answer, or for an error that explains itself. */
async function wrongWith(call: () => unknown): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const tooLong = new Promise<string>((resolve) => {
    timer = setTimeout(() => resolve('did not come to an end'), 20_000);
  });
  const ended = async (): Promise<string | undefined> => {
    try {
      const answer = await call();
      if (isOpened(answer)) await answer.close();
      const iterable = (answer ?? {}) as Partial<AsyncIterable<unknown>>;
      if (typeof answer === 'object' && typeof iterable[Symbol.asyncIterator] === 'function') {
        for await (const _ of iterable as AsyncIterable<unknown>) break;
      }
      return undefined;
    } catch (error) {
      // What a getter of the caller's own throws is the caller's own error.
      if (error === trap) return undefined;
      if (!isKeelsonError(error)) return inspect(error).split('\n').slice(0, 6).join('\n');
      if (error.code === 'INTERNAL') return `INTERNAL: ${error.message}`;
      return error.message.length > 5_000 ? `a message of ${error.message.length}` : undefined;
    }
  };
  try {
    return await Promise.race([ended(), tooLong]);
  } finally {
    clearTimeout(timer);
  }
}

function isOpened(answer: unknown): answer is Platform {
  return typeof answer === 'object' && answer !== null && 'close' in answer && 'tracking' in answer;
}

function said(args: readonly unknown[]): string {
  return args
    .map((arg) => {
      try {
        return inspect(arg, { depth: 1, breakLength: 200 }).slice(0, 60);
      } catch {
        return 'a trap';
      }
    })
    .join(', ');
}

/** What would wait for events for ever, or end the platform. */
const leftOut: ReadonlySet<string> = new Set(['events.follow', 'run.finish']);

const silent = (): void => undefined;
const logger = { debug: silent, info: silent, warn: silent, error: silent };
const platform = await openPlatform({ dir: process.argv[2] ?? '', logger });
await platform.tracking.withRun({ experiment: 'x', id: 'x', environment: false }, (run) =>
  run.logMetric('x', 1),
);
process.on('unhandledRejection', (reason) => {
  if (reason !== trap) console.log(JSON.stringify(`unhandled: ${inspect(reason)}`));
});
let called = 0;
const values = hostileValues();
const run = await platform.tracking.startRun({ experiment: 'x', id: 'open', environment: false });
const ended = await platform.tracking.startRun({ experiment: 'x', environment: false });
for (const [name, call] of methodsOf(platform, run, ended)) {
  if (leftOut.has(name)) continue;
  for (const value of values) {
    for (const args of [[value], ['x', value], [{}, value], ['x', 'x', value], [value, value]]) {
      const problem = await wrongWith(() => call(...args));
      called += 1;
      if (problem !== undefined) console.log(JSON.stringify(`${name}(${said(args)}): ${problem}`));
    }
  }
}
if (({} as Record<string, unknown>)['polluted'] !== undefined) console.log('"polluted"');
await run.finish();
await platform.close();
console.log(`called ${called}`);
