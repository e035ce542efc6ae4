import { openPlatform } from '@keelson/core';

const { tracking } = await openPlatform();
await tracking.withRun({ experiment: 'two-lines' }, (run) => run.logMetric('answer', 42));
