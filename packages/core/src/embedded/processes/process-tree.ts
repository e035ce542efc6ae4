import { readdir, readFile } from 'node:fs/promises';

/** What the processes of a tree use at one moment. */
export interface TreeSample {
  readonly processes: number;
  readonly memoryBytes: number;
  /** Of those that live, since they began. */
  readonly cpuMs: number;
  readonly readBytes: number;
  readonly writtenBytes: number;
}

const pageBytes = 4096;
/** `getconf CLK_TCK`, which is 100 on every Linux of today. */
const ticksPerSecond = 100;

/** What a process and all that it has started use; undefined when it is gone. Linux only. */
export async function sampleTree(pid: number): Promise<TreeSample | undefined> {
  const open = [pid];
  const sum = { processes: 0, memoryBytes: 0, cpuMs: 0, readBytes: 0, writtenBytes: 0 };
  for (const at of open) {
    const [stat, statm, io, children] = await Promise.all(
      ['stat', 'statm', 'io', `task/${at}/children`].map((name) => readProc(at, name)),
    );
    if (stat === undefined || statm === undefined) continue;
    sum.processes += 1;
    sum.memoryBytes += Number(statm.split(' ')[1]) * pageBytes;
    const fields = fieldsOf(stat);
    sum.cpuMs += ((Number(fields[11]) + Number(fields[12])) * 1000) / ticksPerSecond;
    sum.readBytes += Number(/^read_bytes: (\d+)/m.exec(io ?? '')?.[1] ?? 0);
    sum.writtenBytes += Number(/^write_bytes: (\d+)/m.exec(io ?? '')?.[1] ?? 0);
    for (const child of (children ?? '').trim().split(' ')) if (child !== '') open.push(+child);
  }
  return sum.processes === 0 ? undefined : sum;
}

/** The start time of a line of `/proc/PID/stat`: with the pid, it names a process for good. */
export function startTimeIn(stat: string): string | undefined {
  return fieldsOf(stat)[19];
}

/** The line of a process, undefined when there is none. */
export function statOf(pid: number): Promise<string | undefined> {
  return readProc(pid, 'stat');
}

/** Whether a process group has a member that lives; zombies that nobody has waited for do not. */
export async function groupLives(group: number): Promise<boolean> {
  try {
    process.kill(-group, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  const names = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const stats = await Promise.all(names.map((name) => readProc(Number(name), 'stat')));
  return stats.some((stat) => stat !== undefined && groupIn(stat) === group && !isZombie(stat));
}

/**
 * The processes that have this variable of their first environment, as all have that come from one that had it,
 * whatever session or group they have moved to. Of others than this user nothing is known. `among` bounds whose
 * environments are read.
 */
export async function processesWith(
  variable: string,
  value: string,
  among: (pid: number) => boolean = () => true,
): Promise<readonly number[]> {
  const all = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const names = all.filter((name) => among(Number(name)));
  const entry = Buffer.from(`\0${variable}=${value}\0`).toString('latin1');
  const found = await Promise.all(
    names.map(async (name) => {
      const environment = await readProc(Number(name), 'environ');
      return environment !== undefined && `\0${environment}`.includes(entry);
    }),
  );
  return names.filter((_, i) => found[i] === true).map(Number);
}

/** Whether a process may have begun after the one with this pid, by their numbers: good until these come round. */
export async function beganAfter(pid: number): Promise<(other: number) => boolean> {
  const last = Number((await readFile('/proc/loadavg', 'latin1')).trim().split(' ').at(-1));
  return (other) => (last >= pid ? other > pid && other <= last : other > pid || other <= last);
}

/** The name of its program, as the system has it. */
export function programIn(stat: string): string {
  return stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')'));
}

/** The process group of a line. */
export function groupIn(stat: string): number {
  return Number(fieldsOf(stat)[2]);
}

/** Whether the process of a line is one that has ended and was not waited for. */
export function isZombie(stat: string): boolean {
  return fieldsOf(stat)[0] === 'Z';
}

// Behind the command's closing bracket, which may hold spaces itself: state is the first.
function fieldsOf(stat: string): readonly string[] {
  return stat
    .slice(stat.lastIndexOf(')') + 2)
    .trim()
    .split(' ');
}

async function readProc(pid: number, name: string): Promise<string | undefined> {
  try {
    return await readFile(`/proc/${pid}/${name}`, 'latin1');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Gone, or not ours to look into.
    if (code === 'ENOENT' || code === 'ESRCH' || code === 'EACCES' || code === 'EPERM')
      return undefined;
    throw error;
  }
}
