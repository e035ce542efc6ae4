import { afterAll, beforeAll } from 'vitest';
import { ExampleBed } from './example-bed.ts';

/** One bed for the tests of a file. */
export function shareExampleBed(): ExampleBed {
  const bed = new ExampleBed();
  beforeAll(() => bed.open());
  afterAll(() => bed.close());
  return bed;
}
