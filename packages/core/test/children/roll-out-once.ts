/** A rollout on the embedded store, crashed where it is told to. */
import { SqliteMetadataStore } from '../../src/embedded/sqlite-metadata-store.ts';
import { platformKinds } from '../../src/platform-kinds.ts';
import { scenarioProcess } from '../../src/testing/faults/scenario-process.ts';
import { VirtualClock } from '../../src/testing/faults/virtual-clock.ts';
import { type RolloutInput, rollOut } from '../rollout-crashes.ts';

interface Argument {
  readonly path: string;
  readonly now: number;
  readonly input: RolloutInput;
}

scenarioProcess<Argument>(async ({ argument: { path, now, input }, points }) => {
  const clock = new VirtualClock(now);
  await using store = await SqliteMetadataStore.open({ path, kinds: platformKinds, clock });
  await rollOut(store, input, points);
});
