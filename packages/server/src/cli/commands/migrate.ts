import { directoryFormat } from '@keelson/core';
import { type Command, defineCommand } from '../command.ts';

/** `keelson migrate`. */
export const command: Command = defineCommand({
  description:
    'Stores go forward only, and by themselves whenever a newer version opens them: of several processes one migrates while the others wait. This does it at a time of your choosing, before a new version is rolled out. A directory is backed up first, into its backups/; of PostgreSQL the user needs the right to change the schema.',
  options: {
    status: { type: 'flag', short: 'n', summary: 'Say what would be done, and do nothing' },
  },
  examples: [
    ['keelson migrate --status', 'What a newer version would change'],
    ['keelson migrate', 'Change it now'],
  ],
  async run({ options, out, config, platform, progress }) {
    const { values } = await config();
    const server = values.store === 'sqlite:' ? undefined : values.store.replace(/:.*/s, '');
    const before = await directoryFormat(values.dir);
    const pending = before.steps.length > 0 || before.unfinished;
    if (!options.status) {
      const shown = progress('Migrating');
      await platform();
      shown.end();
    }
    const after = options.status ? before : await directoryFormat(values.dir);
    const document = {
      dir: values.dir,
      format: after.format ?? null,
      current: after.current,
      steps: before.steps,
      applied: !options.status && pending,
      // Its own table of migrations is read and brought forward when it is opened.
      server: server === undefined ? null : { store: server, migratedByOpening: !options.status },
    };
    out.show(document, (view) => {
      view.facts({
        directory: values.dir,
        format: after.format ?? 'none yet',
        'this version': after.current,
      });
      const done = options.status ? 'Would be done' : 'Done';
      for (const step of before.steps) view.text(`${done}: ${step}`);
      if (before.unfinished) view.text(`${done}: a migration that was broken off`);
      if (!pending) view.text('The directory is up to date.');
      if (server === undefined) return;
      view.text(
        options.status
          ? `What there is to do on ${server} is found out by opening it: keelson migrate.`
          : `The schema on ${server} is up to date.`,
      );
    });
  },
});
