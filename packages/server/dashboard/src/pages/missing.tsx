import type { JSX } from 'preact';
import { Heading } from '../parts/basics.tsx';
import { to } from '../routing/address.ts';

/** An address that leads nowhere. */
export function Missing(): JSX.Element {
  return (
    <>
      <Heading title="There is no such page" />
      <p>
        The address names none. <a href={to()}>The overview</a> leads to all there are.
      </p>
    </>
  );
}
