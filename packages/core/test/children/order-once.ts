/** One order on the embedded store, crashed where it is told to. */
import { SqliteMetadataStore } from '../../src/embedded/sqlite-metadata-store.ts';
import { withCrashPoints } from '../../src/testing/faults/crash-points.ts';
import { scenarioProcess } from '../../src/testing/faults/scenario-process.ts';
import { VirtualClock } from '../../src/testing/faults/virtual-clock.ts';
import { fillStock, type OrderInput, orderKinds, ordersOn } from '../order-saga.ts';

interface Argument {
  readonly path: string;
  readonly now: number;
  readonly input: OrderInput;
}

scenarioProcess<Argument>(async ({ argument: { path, now, input }, points }) => {
  const clock = new VirtualClock(now);
  await using store = await SqliteMetadataStore.open({ path, kinds: orderKinds, clock });
  const crashing = withCrashPoints(store, points);
  await fillStock(crashing);
  await ordersOn(crashing).order(input);
});
