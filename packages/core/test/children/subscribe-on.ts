/** A process of subscribers on the embedded store; see `subscriberProcess`. */
import { SqliteMetadataStore } from '../../src/embedded/sqlite-metadata-store.ts';
import { type SubscriberArgument, subscriberProcess } from '../subscriber-process.ts';
import { subscriptionScenarioKinds } from '../subscription-scenario.ts';

subscriberProcess<SubscriberArgument & { readonly path: string }>(({ path }) =>
  SqliteMetadataStore.open({
    path,
    kinds: subscriptionScenarioKinds,
    clock: { now: () => Date.now() },
  }),
);
