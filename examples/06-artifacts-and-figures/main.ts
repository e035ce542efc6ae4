/**
 * Everything that is no number: texts, JSON, streams and whole directories as artifacts, figures as SVG,
 * PNG and Vega-Lite, the datasets of a run, versions of one path, and the way back to the bytes. The
 * run's page, whose address is printed, shows the figures.
 */
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import { crc32, deflateSync } from 'node:zlib';
import { openPlatform } from '@keelson/core';

const scratch = mkdtempSync(join(tmpdir(), 'keelson-artifacts-'));
const platform = await openPlatform();
const { tracking } = platform;

const runId = await tracking.withRun({ experiment: 'artifacts' }, async (run) => {
  await run.logDataset({
    name: 'spirals',
    digest: `sha256:${createHash('sha256').update(spiralSvg()).digest('hex')}`,
    role: 'train',
    rowCount: 400,
    schema: { x: 'float', y: 'float', class: 'int' },
  });

  // Figures: what people look at. SVG and PNG are shown on the run's page.
  await run.logFigure('figures/spiral.svg', spiralSvg());
  await run.logFigure('figures/gradient.png', gradientPng(96, 48));
  await run.logFigure('figures/classes.vl.json', {
    $schema: 'https://vega.github.io/schema/vega-lite/v6.json',
    data: { values: [0, 1].map((label) => ({ label, rows: 200 })) },
    mark: 'bar',
    encoding: { x: { field: 'label' }, y: { field: 'rows', type: 'quantitative' } },
  });

  // Text, JSON (NaN survives), a stream, a directory with what a training leaves behind.
  await run.logText('notes.md', '# Spirals\n\nTwo arms, 400 points.\n');
  await run.logJson('report.json', { accuracy: 0.94, loss: Number.NaN });
  writeFileSync(join(scratch, 'weights.bin'), new Uint8Array(8 * 2 ** 20).fill(7));
  const weights = Readable.toWeb(createReadStream(join(scratch, 'weights.bin')));
  let told = 0;
  await run.logArtifact('model/weights.bin', weights as ReadableStream<Uint8Array>, {
    type: 'MODEL',
    metadata: { framework: 'by hand' },
    onProgress: (bytes) => {
      told = bytes;
    },
  });
  console.log(`Streamed ${(told / 2 ** 20).toFixed(0)} MiB of weights`);
  mkdirSync(join(scratch, 'logs'));
  for (const name of ['train.log', 'eval.log']) writeFileSync(join(scratch, 'logs', name), name);
  await run.logArtifacts(join(scratch, 'logs'), { prefix: 'logs', type: 'LOG' });

  // One path, several versions: a suffix by default, the newest with `replace`.
  await run.logText('checkpoint.txt', 'epoch 1');
  const second = await run.logText('checkpoint.txt', 'epoch 2');
  const newest = await run.logText('checkpoint.txt', 'epoch 3', { onConflict: 'replace' });
  console.log(`The second checkpoint is ${second.path}, the third replaced ${newest.path}`);
  return run.id;
});

const { artifacts } = await tracking.listArtifacts(runId);
for (const { path, type, sizeBytes, sha256 } of artifacts) {
  console.log(
    `  ${path.padEnd(24)} ${type.padEnd(7)} ${String(sizeBytes).padStart(8)} B  ${sha256.slice(0, 12)}`,
  );
}
const files = await tracking.downloadArtifact(runId, 'logs', scratch);
console.log(`Downloaded, checked against their digests: ${files.length} files`);

const page = join(scratch, 'run.html');
writeFileSync(page, await tracking.runPage(runId));
console.log(`Page of the run: ${pathToFileURL(page)}`);
await platform.close();

function spiralSvg(): string {
  const points = Array.from({ length: 400 }, (_, i) => {
    const angle = (i % 200) / 25;
    const turn = angle + (i < 200 ? 0 : Math.PI);
    const [x, y] = [100 + 11 * angle * Math.cos(turn), 100 + 11 * angle * Math.sin(turn)];
    const colour = i < 200 ? '#0072b2' : '#d55e00';
    return `<circle cx="${x.toFixed(1)}" cy="${y.toFixed(1)}" r="2" fill="${colour}"/>`;
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 200">${points.join('')}</svg>`;
}

/** A greyscale PNG by hand: what a plotting library hands over as bytes. */
function gradientPng(width: number, height: number): Uint8Array {
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) rows[y * (width + 1) + 1 + x] = (255 * x) / (width - 1);
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 0, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(rows)),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const framed = Buffer.alloc(body.length + 8);
  framed.writeUInt32BE(data.length, 0);
  body.copy(framed, 4);
  framed.writeUInt32BE(crc32(body), body.length + 4);
  return framed;
}
