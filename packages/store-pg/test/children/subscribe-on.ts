/** A process of subscribers on PostgreSQL; see `subscriberProcess`. */
import {
  type SubscriberArgument,
  subscriberProcess,
} from '../../../core/test/subscriber-process.ts';
import { subscriptionScenarioKinds } from '../../../core/test/subscription-scenario.ts';
import { pgBackend } from '../../src/index.ts';
import { silentLogger } from '../silent-logger.ts';

subscriberProcess<SubscriberArgument & { readonly url: string; readonly schema: string }>(
  ({ url, schema }) =>
    pgBackend({ url, schema, maxConnections: 5 }).openMetadata({
      kinds: subscriptionScenarioKinds,
      logger: silentLogger,
    }),
);
