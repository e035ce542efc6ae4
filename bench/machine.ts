import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { cpus, loadavg, totalmem } from 'node:os';
import { join } from 'node:path';
import { median, quantile, sorted } from '@keelson/core/statistics';

/** What the figures of a run depend on. */
export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGibibytes: number;
  readonly system: string;
  readonly node: string;
  readonly sqlite: string;
  /** Of 4 KiB appended to a file on the disk that is measured: median and quartiles. */
  readonly fdatasyncMs: { readonly median: number; readonly quartiles: readonly [number, number] };
  /** Of the last minute: more than `cores` says that others are at work on this machine. */
  readonly loadAverage: number;
}

/** Looks at the machine, and measures what making something durable costs in `dir`. */
export function describeMachine(dir: string): Machine {
  const all = cpus();
  return {
    processor: all[0]?.model.trim() ?? 'unknown',
    cores: all.length,
    memoryGibibytes: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${process.arch}`,
    node: process.version,
    sqlite: process.versions['sqlite'] ?? 'unknown',
    fdatasyncMs: measureSync(dir),
    loadAverage: loadavg()[0] ?? 0,
  };
}

/** The facts in two lines. */
export function machineText(machine: Machine): string {
  const { cores, processor, memoryGibibytes, system, node, sqlite, fdatasyncMs } = machine;
  const quartiles = fdatasyncMs.quartiles.map((ms) => ms.toFixed(2)).join(' … ');
  return [
    `${cores} × ${processor}, ${memoryGibibytes} GiB, ${system}, Node ${node}, SQLite ${sqlite}`,
    `fdatasync ${fdatasyncMs.median.toFixed(2)} ms (${quartiles}), load average ${machine.loadAverage.toFixed(2)}`,
  ].join('\n');
}

function measureSync(dir: string): Machine['fdatasyncMs'] {
  const path = join(dir, 'sync');
  const file = openSync(path, 'w');
  const page = Buffer.alloc(4_096);
  const times: number[] = [];
  for (let i = 0; i < 100; i += 1) {
    writeSync(file, page);
    const startedAt = performance.now();
    fdatasyncSync(file);
    times.push(performance.now() - startedAt);
  }
  closeSync(file);
  rmSync(path);
  const ascending = sorted(times);
  return {
    median: median(ascending),
    quartiles: [quantile(ascending, 0.25), quantile(ascending, 0.75)],
  };
}
