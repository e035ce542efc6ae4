import { openPlatform } from '@keelson/core';

await using platform = await openPlatform();
await platform.tracking.withRun({ experiment: 'two-lines' }, (run) => run.logMetric('answer', 42));
