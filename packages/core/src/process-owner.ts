import { readFileSync, readlinkSync } from 'node:fs';
import { hostname } from 'node:os';
import type { Json, JsonObject } from './json.ts';
import { uuidV7 } from './uuid.ts';

/** Whether the process that owned something still lives, as far as this one can tell. */
export type OwnerState = 'alive' | 'dead' | 'unknown';

let self: JsonObject | undefined;

/**
 * This process, in a form that another process of the same host can later tell dead from alive: host,
 * boot, pid, and the pid's start time, because pids and hosts are used again. `instance` is random.
 */
export function describeOwner(): JsonObject {
  self ??= {
    host: hostname(),
    bootId: bootId() ?? '',
    pidSpace: pidSpace() ?? '',
    pid: process.pid,
    startTime: startTimeOf(process.pid) ?? '',
    instance: uuidV7(),
  };
  return self;
}

/**
 * Whether the process described still lives. `dead` only where that is certain: the same host and
 * boot and pid namespace, and no process of that pid, or one that started at another time, or a zombie.
 * Everything else, other systems than Linux and a /proc that hides other users' processes included, is
 * `unknown`: then only silence (an expired lease, no heartbeat) tells.
 */
export function ownerState(owner: Json | undefined): OwnerState {
  if (typeof owner !== 'object' || owner === null || Array.isArray(owner)) return 'unknown';
  const then = owner as JsonObject;
  const now = describeOwner();
  if (then['instance'] === now['instance']) return 'alive';
  const comparable = ['host', 'bootId', 'pidSpace'].every(
    (key) => now[key] !== '' && then[key] === now[key],
  );
  const { pid, startTime } = then;
  if (!comparable || !isPid(pid) || typeof startTime !== 'string' || startTime === '')
    return 'unknown';
  const seen = startTimeOf(pid);
  if (seen !== undefined) return seen === startTime ? 'alive' : 'dead';
  return exists(pid) ? 'unknown' : 'dead';
}

/** The owner as one line, for the `owner` of a claim. */
export function ownerText(owner: JsonObject = describeOwner()): string {
  return JSON.stringify(owner);
}

/** The owner that {@link ownerText} made a line of; undefined for any other text. */
export function ownerFromText(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    return value as JsonObject;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function bootId(): string | undefined {
  return readProc('/proc/sys/kernel/random/boot_id')?.trim();
}

// Two containers of one host may use one pid for two processes; the namespace tells them apart.
function pidSpace(): string | undefined {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch (error) {
    if (isHidden(error)) return undefined;
    throw error;
  }
}

// Field 22 of /proc/PID/stat, counted behind the command's closing bracket: it may hold spaces. A
// zombie runs no more: it has the start time `ended`, which no process has.
function startTimeOf(pid: number): string | undefined {
  const stat = readProc(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? 'ended' : fields[19];
}

// Where /proc is hidden, the kernel still tells that there is such a process (EPERM), or none (ESRCH).
function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

function isPid(value: Json | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}

function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isHidden(error)) return undefined;
    throw error;
  }
}

function isHidden(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException).code ?? '';
  return ['ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'ENOTDIR'].includes(code);
}
