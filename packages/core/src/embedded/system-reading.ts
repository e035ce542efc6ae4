import { readFile, statfs } from 'node:fs/promises';
import { cpus, freemem, totalmem } from 'node:os';
import { printedBy } from '../look-around.ts';

/** The state of a GPU, as its driver tells it. */
export interface GpuReading {
  readonly utilization: number;
  readonly memoryUsed: number;
  readonly memoryTotal: number;
  readonly watts: number;
}

/** What the counters of machine and process said at one moment; undefined where the system has none. */
export interface SystemReading {
  /** Epoch ms. */
  readonly at: number;
  /** Milliseconds of all processors since the start, and of those the idle ones. */
  readonly cpuMs: number;
  readonly idleMs: number;
  /** CPU time of this process, all threads, in ms. */
  readonly processCpuMs: number;
  readonly rssBytes: number;
  readonly memoryBytes: number;
  readonly freeMemoryBytes: number;
  readonly disk: { readonly bytes: number; readonly freeBytes: number } | undefined;
  /** What this process has read from and written to disks. */
  readonly io: { readonly readBytes: number; readonly writtenBytes: number } | undefined;
  /** All interfaces of the network namespace but the loopback. */
  readonly network: { readonly receivedBytes: number; readonly sentBytes: number } | undefined;
  readonly gpus: readonly GpuReading[];
}

/** Reads counters of the machine, and of the process that this thread is of. */
export class SystemReader {
  readonly #directory: string;
  #gpus = true;

  /** `directory`: the file system that is asked how full it is. */
  constructor(directory: string) {
    this.#directory = directory;
  }

  async read(): Promise<SystemReading> {
    const [disk, io, network, gpus] = await Promise.all([
      this.#disk(),
      processIo(),
      networkBytes(),
      this.#readGpus(),
    ]);
    let cpuMs = 0;
    let idleMs = 0;
    for (const { times } of cpus()) {
      cpuMs += times.user + times.nice + times.sys + times.irq + times.idle;
      idleMs += times.idle;
    }
    const { user, system } = process.cpuUsage();
    return {
      at: Date.now(),
      cpuMs,
      idleMs,
      processCpuMs: (user + system) / 1000,
      rssBytes: process.memoryUsage.rss(),
      memoryBytes: totalmem(),
      freeMemoryBytes: freemem(),
      disk,
      io,
      network,
      gpus,
    };
  }

  async #disk(): Promise<SystemReading['disk']> {
    try {
      const { bsize, blocks, bavail } = await statfs(this.#directory);
      return { bytes: bsize * blocks, freeBytes: bsize * bavail };
    } catch {
      // The directory may be gone: what is wrong with it, whoever writes there will say.
      return undefined;
    }
  }

  async #readGpus(): Promise<readonly GpuReading[]> {
    if (!this.#gpus) return [];
    const query = 'utilization.gpu,memory.used,memory.total,power.draw';
    const args = [`--query-gpu=${query}`, '--format=csv,noheader,nounits'];
    const printed = await printedBy('nvidia-smi', args, 2 ** 16);
    if (!Buffer.isBuffer(printed)) {
      // No driver now, none later: a process is not started for nothing every few seconds.
      this.#gpus = false;
      return [];
    }
    return gpusFrom(printed.toString('utf8'));
  }
}

/** What `nvidia-smi` prints: a line for each GPU; `[N/A]` where it does not know. */
export function gpusFrom(printed: string): readonly GpuReading[] {
  return printed
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => {
      const [utilization, memoryUsed, memoryTotal, watts] = line.split(',').map(Number);
      return {
        utilization: utilization ?? Number.NaN,
        memoryUsed: memoryUsed ?? Number.NaN,
        memoryTotal: memoryTotal ?? Number.NaN,
        watts: watts ?? Number.NaN,
      };
    });
}

/**
 * The metrics of a moment, under MLflow's names where it has one. Network and disk traffic count from
 * `first`, shares of processors are of the time since `before`.
 */
export function systemMetrics(
  first: SystemReading,
  before: SystemReading,
  now: SystemReading,
): ReadonlyMap<string, number> {
  const metrics = new Map<string, number>();
  const put = (name: string, value: number): void => {
    if (Number.isFinite(value)) metrics.set(`system/${name}`, value);
  };
  const cpuMs = now.cpuMs - before.cpuMs;
  put('cpu_utilization_percentage', 100 * (1 - (now.idleMs - before.idleMs) / cpuMs));
  const ms = now.at - before.at;
  // Of one processor: 200 are two that are busy.
  put('process_cpu_percentage', (100 * (now.processCpuMs - before.processCpuMs)) / ms);
  put('process_memory_megabytes', megabytes(now.rssBytes));
  const used = now.memoryBytes - now.freeMemoryBytes;
  put('system_memory_usage_megabytes', megabytes(used));
  put('system_memory_usage_percentage', (100 * used) / now.memoryBytes);
  if (now.disk !== undefined) {
    const taken = now.disk.bytes - now.disk.freeBytes;
    put('disk_usage_megabytes', megabytes(taken));
    put('disk_usage_percentage', (100 * taken) / now.disk.bytes);
    put('disk_available_megabytes', megabytes(now.disk.freeBytes));
  }
  if (now.io !== undefined && first.io !== undefined) {
    put('process_disk_read_megabytes', megabytes(now.io.readBytes - first.io.readBytes));
    put('process_disk_write_megabytes', megabytes(now.io.writtenBytes - first.io.writtenBytes));
  }
  if (now.network !== undefined && first.network !== undefined) {
    const { receivedBytes, sentBytes } = now.network;
    put('network_receive_megabytes', megabytes(receivedBytes - first.network.receivedBytes));
    put('network_transmit_megabytes', megabytes(sentBytes - first.network.sentBytes));
  }
  now.gpus.forEach((gpu, i) => {
    put(`gpu_${i}_utilization_percentage`, gpu.utilization);
    put(`gpu_${i}_memory_usage_megabytes`, gpu.memoryUsed);
    put(`gpu_${i}_memory_usage_percentage`, (100 * gpu.memoryUsed) / gpu.memoryTotal);
    put(`gpu_${i}_power_usage_watts`, gpu.watts);
  });
  return metrics;
}

function megabytes(bytes: number): number {
  return bytes / 1e6;
}

async function processIo(): Promise<SystemReading['io']> {
  const text = await procFile('/proc/self/io');
  const field = (name: string): number | undefined => {
    const found = new RegExp(`^${name}: (\\d+)$`, 'm').exec(text ?? '')?.[1];
    return found === undefined ? undefined : Number(found);
  };
  const readBytes = field('read_bytes');
  const writtenBytes = field('write_bytes');
  return readBytes === undefined || writtenBytes === undefined
    ? undefined
    : { readBytes, writtenBytes };
}

async function networkBytes(): Promise<SystemReading['network']> {
  const text = await procFile('/proc/self/net/dev');
  if (text === undefined) return undefined;
  let receivedBytes = 0;
  let sentBytes = 0;
  for (const line of text.split('\n').slice(2)) {
    const [name, counters = ''] = line.split(':');
    const fields = counters.trim().split(/\s+/).map(Number);
    if (name === undefined || name.trim() === 'lo' || fields.length < 9) continue;
    receivedBytes += fields[0] as number;
    sentBytes += fields[8] as number;
  }
  return { receivedBytes, sentBytes };
}

// Only Linux has these files, and a sandbox may hide them.
async function procFile(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return undefined;
  }
}
