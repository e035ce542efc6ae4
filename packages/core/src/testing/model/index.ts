export { ReferenceHarness } from './reference-harness.ts';
export { type ClockedHarness, storyOps, tellStories } from './stories.ts';
