import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { type FilesOrigin, KeelsonError, type Platform } from '@keelson/core';
import { type Command, defineCommand, UsageError } from '../command.ts';
import { findRun } from '../looking/find-by-id.ts';
import { pairsOf } from '../looking/more.ts';

/** `keelson register`. */
export const command: Command = defineCommand({
  positionals: {
    model: { summary: 'Name of the model; it is made when there is none' },
    from: { summary: 'A file or directory here, or <run>:<path> of a run; <run> for all of it' },
  },
  options: {
    version: { type: 'text', summary: 'Semver; the next one by what changed when left out' },
    bump: { type: 'choice', choices: ['major', 'minor', 'patch'], summary: 'The next such one' },
    description: { type: 'text', summary: 'What it is' },
    tag: { type: 'text', placeholder: 'key=value', many: true, summary: 'A tag' },
    alias: { type: 'text', many: true, summary: 'Let this alias point to it' },
    format: { type: 'text', summary: 'Such as ONNX, where files do not tell' },
  },
  examples: [
    ['keelson register fraud 3f9a21c0:model', 'What a run has logged below model/'],
    ['keelson register fraud ./model.onnx --alias challenger', 'A file, with an alias'],
  ],
  async run({ positionals: { model, from }, options, out, platform, progress, cwd, signal }) {
    const tags = pairsOf(options.tag);
    if (typeof tags === 'string') throw new UsageError(`--tag takes key=value, not ${tags}.`);
    const opened = await platform();
    const shown = progress('Registering', { unit: 'bytes' });
    const origin = await originOf(opened, from, cwd);
    const { version, bump, description, format } = options;
    const registered = await opened.registry.register({
      ...{ model, from: origin, tags, signal },
      ...(version === undefined ? {} : { version }),
      ...(bump === undefined ? {} : { bump }),
      ...(description === undefined ? {} : { description }),
      ...(format === undefined ? {} : { format: format as never }),
      onProgress: ({ bytes }) => shown.update(bytes),
    });
    shown.end();
    for (const alias of options.alias) {
      await opened.registry.setAlias(model, alias, registered.version);
    }
    const now = await opened.registry.getVersionById(registered.id);
    out.show(now, (view) => {
      const aliases = now.aliases.length === 0 ? '' : `, ${now.aliases.join(', ')}`;
      view.text(
        `${model}@${now.version} (${now.format}, ${now.files.length} files, ${view.bytes(now.sizeBytes)}) is registered: ${now.stage}${aliases}.`,
      );
    });
  },
});

/** What is on the disk goes before runs. */
async function originOf(platform: Platform, from: string, cwd: string): Promise<FilesOrigin> {
  const path = resolve(cwd, from);
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory()) return { directory: path };
  if (found?.isFile()) return { file: path };
  const at = from.indexOf(':');
  const [run, below] = at < 0 ? [from, ''] : [from.slice(0, at), from.slice(at + 1)];
  try {
    return { runId: (await findRun(platform, run)).id, path: below };
  } catch (cause) {
    if (!(cause instanceof KeelsonError) || cause.code !== 'NOT_FOUND') throw cause;
    throw new KeelsonError(
      'NOT_FOUND',
      `${from} is no file or directory here, and no run. Give a path, or <run>:<path>; \`keelson runs list\` shows runs.`,
      { cause },
    );
  }
}
