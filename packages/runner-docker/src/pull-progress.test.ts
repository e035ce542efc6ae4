import { expect, test } from 'vitest';
import { PullProgress, pullLines } from './pull-progress.ts';

test('each layer counts by its bytes: half for what is fetched, half for what is unpacked', () => {
  const progress = new PullProgress('trainer:1');
  const at = (id: string, status: string, current?: number, total?: number) => {
    progress.take({
      ...{ id, status },
      progressDetail: current === undefined ? {} : { current, total: total ?? 0 },
    });
    return [Math.round(progress.seen.share * 1000) / 1000, progress.seen.message];
  };
  expect(progress.seen).toEqual({ share: 0, message: 'pulling trainer:1' });
  expect(at('1', 'Pulling from trainer')).toEqual([0, 'pulling trainer:1']);
  expect(at('a', 'Already exists')).toEqual([0, 'pulling trainer:1']);
  expect(at('b', 'Downloading', 1e6, 3e6)).toEqual([0.167, 'pulling trainer:1: 1.0 of 3.0 MB']);
  expect(at('c', 'Downloading', 5e5, 1e6)).toEqual([0.188, 'pulling trainer:1: 1.5 of 4.0 MB']);
  expect(at('b', 'Download complete')).toEqual([0.438, 'pulling trainer:1: 3.5 of 4.0 MB']);
  expect(at('c', 'Download complete')).toEqual([0.5, 'unpacking trainer:1']);
  expect(at('b', 'Extracting', 15e5, 3e6)).toEqual([0.688, 'unpacking trainer:1']);
  expect(at('b', 'Pull complete')).toEqual([0.875, 'unpacking trainer:1']);
  expect(at('c', 'Pull complete')).toEqual([1, 'unpacking trainer:1']);
});

test('lines are read however they are cut, the last one too where nothing ends it', async () => {
  const bytes = Buffer.from('{"status":"größer"}\r\n\n{"id":"a"}\n{"error":"no"}');
  const one = async function* () {
    for (const byte of bytes) yield Uint8Array.of(byte);
  };
  const lines = [{ status: 'größer' }, { id: 'a' }, { error: 'no' }];
  expect(await Array.fromAsync(pullLines(one()))).toEqual(lines);
});
