import type { Command } from './command.ts';

/** A command as `--help` and completion know it; what it does is loaded when it is called. */
export interface CommandRow {
  /** One word, or two where the first is a group. */
  readonly name: string;
  /** A sentence without a full stop. */
  readonly summary: string;
  load(): Promise<{ readonly command: Command }>;
}

/** The first words of commands that have two, and what they are about. */
export const groups: Readonly<Record<string, string>> = {};

/** Every command, in the order in which help shows them. */
export const commandTable: readonly CommandRow[] = [
  {
    name: 'gc',
    summary: 'Free what nobody needs any more',
    load: () => import('./commands/gc.ts'),
  },
  {
    name: 'version',
    summary: 'Print the versions of Keelson, Node and the packages that are installed',
    load: () => import('./commands/version.ts'),
  },
];
