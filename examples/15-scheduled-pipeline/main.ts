/**
 * A pipeline that starts by the clock and by what happens: each second here, caught up for the hours before by a
 * backfill, and once more by each event of one's own. Any number of processes may run the same program.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { definePipeline, historyText, openPlatform, withCorrelation } from '@keelson/core';

const dir = join(await mkdtemp(join(tmpdir(), 'keelson-schedule-')), '.keelson');
const platform = await openPlatform({ dir });
const { pipelines, events } = platform;

const report = definePipeline(
  'report',
  {
    version: '1.0.0',
    parameters: {
      type: 'object',
      properties: { scheduledAt: { type: 'number' }, why: { type: 'string', default: 'time' } },
    },
    triggers: [
      {
        name: 'data',
        on: 'data.arrived',
        when: 'event.payload.rows > 100',
        parameters: { why: 'event.payload.source' },
      },
    ],
  },
  (p) => {
    const rows = p.step('count', {}, () => 42);
    return p.step('write', { rows }, ({ inputs, parameters }) => {
      const at = new Date(parameters.scheduledAt ?? Date.now()).toISOString();
      return `${at}: ${inputs.rows} rows, because of the ${parameters.why}`;
    });
  },
);
pipelines.add(report);
await pipelines.putDefinition(report);

// In production this is "0 6 * * 1-5" in a time zone.
await pipelines.schedules.put({
  name: 'each second',
  pipeline: 'report',
  cron: '* * * * * *',
  catchUp: 'none',
});
await pipelines.schedules.put({
  name: 'hourly',
  pipeline: 'report',
  cron: '0 * * * *',
  timeZone: 'Europe/Berlin',
});
await pipelines.schedules.pause('hourly');
console.log(
  'next:',
  (await pipelines.schedules.next('hourly', 2)).map((at) => new Date(at).toISOString()).join(', '),
);

const past = { from: new Date('2026-03-29T00:00:00Z'), to: new Date('2026-03-29T04:00:00Z') };
const { times, failed } = await pipelines.schedules.backfill('hourly', {
  ...past,
  maxParallel: 2,
  onProgress: ({ execution, done, total }) =>
    console.log(`backfill ${done} of ${total}: ${execution.status}`),
});
console.log(`${times} times made up for, ${failed} failed`);

platform.start();
await withCorrelation({ correlationId: 'upload-7' }, () =>
  events.publish({
    type: 'data.arrived',
    subject: 'data:7',
    payload: { rows: 500, source: 'upload' },
  }),
);

// Until the clock has fired twice and the event once.
const fired = async (trigger: string): Promise<number> => {
  const { executions } = await pipelines.list({ pipeline: 'report' });
  return executions.filter((each) => each.trigger === trigger && each.status === 'COMPLETED')
    .length;
};
for (;;) {
  // The backfill's four are by the schedule too.
  if ((await fired('SCHEDULED')) >= times + 2 && (await fired('EVENT')) >= 1) break;
  await new Promise((resolve) => setTimeout(resolve, 100));
}
console.log(historyText(await events.historyTree('upload-7')));

await platform.close();
await rm(join(dir, '..'), { recursive: true });
