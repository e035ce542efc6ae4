import type { CommandRow } from './command.ts';
import { lookingCommands, lookingGroups } from './looking-commands.ts';

/** The first words of commands that have two, and what they are about. */
export const groups: Readonly<Record<string, string>> = { ...lookingGroups };

/** Every command, in the order in which help shows them. */
export const commandTable: readonly CommandRow[] = [
  {
    name: 'init',
    summary: 'Write a configuration and a first script, and make the platform',
    load: () => import('./commands/init.ts'),
  },
  {
    name: 'run',
    summary: 'Run a script as a run: its exit code decides how the run ends',
    load: () => import('./commands/run.ts'),
  },
  {
    name: 'serve',
    summary: 'Serve the platform over HTTP: control plane, MLflow, dashboard',
    load: () => import('./commands/serve.ts'),
  },
  {
    name: 'ui',
    summary: 'Show the dashboard of a platform in the browser of this machine',
    load: () => import('./commands/ui.ts'),
  },
  ...lookingCommands,
  {
    name: 'doctor',
    summary: 'Check everything, and say what to do',
    load: () => import('./commands/doctor.ts'),
  },
  {
    name: 'config',
    summary: 'Print the configuration in force, and where each part comes from',
    load: () => import('./commands/config.ts'),
  },
  {
    name: 'migrate',
    summary: 'Show and apply what a newer version changes about the stores',
    load: () => import('./commands/migrate.ts'),
  },
  {
    name: 'gc',
    summary: 'Free what nobody needs any more',
    load: () => import('./commands/gc.ts'),
  },
  {
    name: 'export',
    summary: 'Write experiments or models into a directory or an archive',
    load: () => import('./commands/export.ts'),
  },
  {
    name: 'import',
    summary: 'Bring in what export wrote',
    load: () => import('./commands/import.ts'),
  },
  {
    name: 'sync',
    summary: 'Push the runs of a directory to a server',
    load: () => import('./commands/sync.ts'),
  },
  {
    name: 'backup',
    summary: 'Copy the whole platform, while others work',
    load: () => import('./commands/backup.ts'),
  },
  {
    name: 'restore',
    summary: 'Make a platform directory of a backup',
    load: () => import('./commands/restore.ts'),
  },
  {
    name: 'completion',
    summary: 'Print the script by which a shell completes commands',
    load: () => import('./commands/completion.ts'),
  },
  {
    name: 'version',
    summary: 'Print the versions of Keelson, Node and the packages that are installed',
    load: () => import('./commands/version.ts'),
  },
];
