/**
 * What happened, and why: an event of one's own starts a training, a subscription that survives every crash
 * writes the bill, and the whole workflow is printed as a tree, causes above effects.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { historyText, openPlatform, toCloudEvent, withCorrelation } from '@keelson/core';

const dir = join(await mkdtemp(join(tmpdir(), 'keelson-events-')), '.keelson');
const platform = await openPlatform({ dir });
const { events, tracking } = platform;

// Types of one's own need no declaration; `openPlatform({ events: { types } })` gives them a schema.
await events.subscribe('trainer', { types: ['order.placed'] }, async (order) => {
  const run = await tracking.startRun({ experiment: 'orders', environment: false });
  run.logMetric('accuracy', 0.94);
  await run.finish();
  console.log(`Trained for ${order.subject}.`);
});

// Payloads are typed by the type; the receipt makes that the bill is written once, whatever is killed.
await events.subscribe('billing', { types: ['run.completed'] }, async (event, { receipt }) => {
  const { runId, finalMetrics } = event.payload;
  const payload = { runId, accuracy: finalMetrics['accuracy'] ?? null };
  await events.publish(
    { type: 'bill.written', subject: 'bill:1', payload },
    { receipt: receipt() },
  );
});

await withCorrelation({ correlationId: 'order-4711' }, () =>
  events.publish({ type: 'order.placed', subject: 'order:4711', payload: { pieces: 3 } }),
);
await events.deliver();

console.log(historyText(await events.historyTree('order-4711')));
for await (const event of events.each({ types: ['bill.written'] })) {
  console.log(JSON.stringify(toCloudEvent(event), null, 2));
}

await platform.close();
await rm(join(dir, '..'), { recursive: true });
