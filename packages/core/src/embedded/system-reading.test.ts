import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { temporaryDirectory } from '../../test/open-test-platform.ts';
import { gpusFrom, SystemReader, type SystemReading, systemMetrics } from './system-reading.ts';

const reading: SystemReading = {
  at: 1_000,
  cpuMs: 10_000,
  idleMs: 8_000,
  processCpuMs: 500,
  rssBytes: 100e6,
  memoryBytes: 1_000e6,
  freeMemoryBytes: 750e6,
  disk: { bytes: 2_000e6, freeBytes: 500e6 },
  io: { readBytes: 1e6, writtenBytes: 2e6 },
  network: { receivedBytes: 5e6, sentBytes: 6e6 },
  gpus: [],
};

describe('systemMetrics', () => {
  test('shares of the time since the last reading, traffic since the first', () => {
    const before = { ...reading, at: 2_000, cpuMs: 12_000, idleMs: 9_500, processCpuMs: 700 };
    const now: SystemReading = {
      ...reading,
      at: 3_000,
      cpuMs: 14_000,
      idleMs: 10_000,
      processCpuMs: 2_200,
      io: { readBytes: 4e6, writtenBytes: 2e6 },
      network: { receivedBytes: 6e6, sentBytes: 9e6 },
      gpus: [{ utilization: 50, memoryUsed: 1_000, memoryTotal: 4_000, watts: Number.NaN }],
    };
    expect(Object.fromEntries(systemMetrics(reading, before, now))).toEqual({
      'system/cpu_utilization_percentage': 75,
      'system/process_cpu_percentage': 150,
      'system/process_memory_megabytes': 100,
      'system/system_memory_usage_megabytes': 250,
      'system/system_memory_usage_percentage': 25,
      'system/disk_usage_megabytes': 1_500,
      'system/disk_usage_percentage': 75,
      'system/disk_available_megabytes': 500,
      'system/process_disk_read_megabytes': 3,
      'system/process_disk_write_megabytes': 0,
      'system/network_receive_megabytes': 1,
      'system/network_transmit_megabytes': 3,
      'system/gpu_0_utilization_percentage': 50,
      'system/gpu_0_memory_usage_megabytes': 1_000,
      'system/gpu_0_memory_usage_percentage': 25,
    });
  });

  test('what the system does not tell is left out, and so is what divides by no time', () => {
    const bare = { ...reading, disk: undefined, io: undefined, network: undefined };
    expect([...systemMetrics(bare, bare, bare).keys()]).toEqual([
      'system/process_memory_megabytes',
      'system/system_memory_usage_megabytes',
      'system/system_memory_usage_percentage',
    ]);
  });
});

describe('SystemReader', () => {
  test('counters of this process rise with what it does', async () => {
    const reader = new SystemReader(await temporaryDirectory());
    const before = await reader.read();
    // Until the counter of the operating system has seen it.
    for (let now = before; now.processCpuMs < before.processCpuMs + 50; now = await reader.read());
    const after = await reader.read();
    expect(after.cpuMs).toBeGreaterThan(before.cpuMs);
    expect(after.rssBytes).toBeGreaterThan(1e6);
    expect(after.disk?.bytes).toBeGreaterThan(after.disk?.freeBytes ?? Number.POSITIVE_INFINITY);
    expect(after.io?.writtenBytes).toBeGreaterThanOrEqual(before.io?.writtenBytes ?? Number.NaN);
    expect(after.network?.receivedBytes).toBeGreaterThanOrEqual(0);
  });

  test('a directory that is gone has no disk', async () => {
    const { disk } = await new SystemReader('/no/such/directory').read();
    expect(disk).toBeUndefined();
  });

  test('GPUs by their driver; once it is missing it is not asked again', async () => {
    const bin = await temporaryDirectory();
    const path = process.env['PATH'];
    onTestFinished(() => {
      process.env['PATH'] = path;
    });
    process.env['PATH'] = bin;
    const without = new SystemReader('/');
    expect((await without.read()).gpus).toEqual([]);
    await mkdir(bin, { recursive: true });
    const script = "#!/bin/sh\necho '97, 1024, 4096, 71.5'\necho '0, 3, 4096, [N/A]'\n";
    await writeFile(join(bin, 'nvidia-smi'), script, { mode: 0o755 });
    expect((await without.read()).gpus).toEqual([]);
    expect((await new SystemReader('/').read()).gpus).toEqual([
      { utilization: 97, memoryUsed: 1024, memoryTotal: 4096, watts: 71.5 },
      { utilization: 0, memoryUsed: 3, memoryTotal: 4096, watts: Number.NaN },
    ]);
  });

  test('lines that are cut short have no values', () => {
    expect(gpusFrom('\n5,\n')).toEqual([
      { utilization: 5, memoryUsed: 0, memoryTotal: Number.NaN, watts: Number.NaN },
    ]);
  });
});
