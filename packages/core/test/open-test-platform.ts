import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import type { Logger, Principal } from '../src/contracts/ports.ts';
import { openPlatform, type Platform, type Services } from '../src/open-platform.ts';
import type { PlatformOptions } from '../src/platform-options.ts';
import { type RemoteFace, remoteFace, testBackends } from './test-backends.ts';

/** What a platform logged, oldest first. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A platform with what it logged. */
export interface TestPlatform {
  readonly platform: Platform;
  readonly dir: string;
  readonly logs: readonly LogLine[];
}

/** A new directory that is removed when the test ends. */
export async function temporaryDirectory(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-test-'));
  // What was ended may have a file under way still.
  onTestFinished(() => rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 }));
  return dir;
}

/** A real platform, on a new directory when none is given; closed when the test ends. */
export async function openTestPlatform(options: PlatformOptions = {}): Promise<TestPlatform> {
  const dir = options.dir ?? join(await temporaryDirectory(), '.keelson');
  const logs: LogLine[] = [];
  const backends = await testBackends(dir);
  const platform = await openPlatform({
    logger: loggerInto(logs),
    ...backends,
    ...options,
    dir,
  });
  onTestFinished(() => platform.close());
  const { workspace, principal } = platform;
  const remote = await remoteFace();
  const face = remote?.({
    platform,
    workspace,
    principal,
    options: { logger: loggerInto(logs), ...options },
  });
  if (face === undefined) return { platform, dir, logs };
  onTestFinished(() => face.close());
  return { platform: overlaid(platform, face), dir, logs };
}

/** The platform with other services in the place of its own. */
function overlaid<T extends object>(platform: T, { services, close }: RemoteFace): T {
  return new Proxy(platform, {
    get(target, name) {
      if (Object.hasOwn(services, name)) return services[name as keyof typeof services];
      if (name === 'close' && 'close' in target) {
        return async (...args: readonly unknown[]) => {
          await close();
          return Reflect.apply(target.close as (...given: unknown[]) => unknown, target, args);
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/**
 * One real platform for the tests of a file: opening one, and starting its writer thread, takes longer
 * than most tests. Each test works in a workspace of its own.
 */
export function sharePlatform(): {
  /** The services of a new workspace, and what is logged from now on. */
  fresh(): {
    readonly platform: Services;
    readonly logs: readonly LogLine[];
    /** The same workspace, as somebody else. */
    by(principal: string): Services;
  };
} {
  let dir = '';
  let platform: Platform | undefined;
  let logs: LogLine[] = [];
  let workspaces = 0;
  let remote: Awaited<ReturnType<typeof remoteFace>>;
  const faces: RemoteFace[] = [];
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'keelson-test-'));
    const logger = loggerInto({ push: (line: LogLine) => logs.push(line) });
    const own = join(dir, '.keelson');
    platform = await openPlatform({ dir: own, logger, ...(await testBackends(own)) });
    remote = await remoteFace();
  });
  afterAll(async () => {
    for (const face of faces) await face.close();
    await platform?.close();
    await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  });
  return {
    fresh() {
      if (platform === undefined) throw new Error('The platform is not open yet.');
      logs = [];
      workspaces += 1;
      const [opened, workspace] = [platform, `test-${workspaces}`];
      const own = (principal: Principal): Services => {
        const services = opened.as({ workspace, principal });
        if (remote === undefined) return services;
        const options = { logger: loggerInto({ push: (line: LogLine) => logs.push(line) }) };
        const face = remote({ platform: opened, workspace, principal, options });
        faces.push(face);
        return overlaid(services, face);
      };
      const by = (id: string) => own({ id, roles: [] });
      return { platform: own(opened.principal), logs, by };
    },
  };
}

function loggerInto(lines: { push(line: LogLine): unknown }): Logger {
  const log = (level: LogLine['level']) => (fields: object, message: string) => {
    lines.push({ level, message, fields: fields as LogLine['fields'] });
  };
  return { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') };
}

/** Waits until the condition holds; fails after `timeoutMs`, saying what was waited for. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await holds())) {
    if (performance.now() > deadline) throw new Error(`Waited ${timeoutMs} ms in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
