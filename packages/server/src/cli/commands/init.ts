import { existsSync, readFileSync } from 'node:fs';
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { KeelsonError } from '@keelson/core';
import { type Command, defineCommand } from '../command.ts';
import { configTemplate, firstScript } from '../init-templates.ts';
import { installedVersions } from '../installed-versions.ts';

/** `keelson init`. */
export const command: Command = defineCommand({
  description:
    'Writes keelson.config (every key with its default, commented out), a first script train.ts, and .keelson/ into .gitignore where there is git. Files that are there stay as they are, unless --force.',
  positionals: { directory: { summary: 'Where to; here when left out', optional: true } },
  options: {
    format: {
      type: 'choice',
      choices: ['ts', 'json', 'yaml'],
      default: 'ts',
      summary: 'Of the configuration',
    },
    script: { type: 'flag', default: true, summary: 'Write no script' },
    force: { type: 'flag', summary: 'Write over what is there' },
  },
  examples: [
    ['keelson init', 'Here'],
    ['keelson init churn --format yaml', 'In a new directory, with a configuration in YAML'],
  ],
  async run({ positionals, options, out, cwd, config }) {
    const target = resolve(cwd, positionals.directory ?? '.');
    const configFile = join(target, `keelson.config.${options.format}`);
    const files = [
      { path: configFile, text: configTemplate(options.format) },
      ...(options.script ? [{ path: join(target, 'train.ts'), text: firstScript }] : []),
    ];
    const there = files.filter(({ path }) => existsSync(path));
    if (there.length > 0 && !options.force) {
      const names = there.map(({ path }) => relative(cwd, path)).join(' and ');
      throw new KeelsonError(
        'CONFLICT',
        `${names} ${there.length === 1 ? 'is' : 'are'} there already; --force writes over, --no-script leaves the script out.`,
        { details: { files: there.map(({ path }) => path) } },
      );
    }
    await mkdir(target, { recursive: true });
    for (const { path, text } of files) await writeFile(path, text);
    const ignored = await ignorePlatform(target);
    // Only the directory of somebody who says so is elsewhere than beside the configuration.
    const { values, sources } = await config();
    const dir = sources['dir'] === 'default' ? join(target, '.keelson') : values.dir;
    await makePlatform(dir);
    const packages = await installedVersions(target);
    const document = {
      dir,
      files: [...files.map(({ path }) => path), ...(ignored === undefined ? [] : [ignored])],
    };
    out.show(document, (view) => {
      for (const path of document.files) view.text(`Wrote ${relative(cwd, path)}`);
      view.text(`The platform is in ${relative(cwd, dir) || dir}`);
      view.heading('Next');
      if (positionals.directory !== undefined) view.text(`  cd ${positionals.directory}`);
      if (!existsSync(join(target, 'node_modules', '@keelson')) && !('@keelson/core' in packages)) {
        view.text('  npm install @keelson/core @keelson/server');
      }
      if (options.script) view.text('  keelson run train.ts     # a first run');
      view.text('  keelson serve            # the dashboard, and MLflow’s clients');
      view.text('  keelson doctor           # whether everything is in order');
    });
  },
});

async function makePlatform(dir: string): Promise<void> {
  const { openPlatform } = await import('@keelson/core');
  await (await openPlatform({ dir })).close();
}

/** Keeps the platform out of a repository; answers the file that was changed. */
async function ignorePlatform(target: string): Promise<string | undefined> {
  const file = join(target, '.gitignore');
  const has = existsSync(file);
  if (!has && !existsSync(join(target, '.git'))) return undefined;
  const text = has ? readFileSync(file, 'utf8') : '';
  if (/^\/?\.keelson\/?$/m.test(text)) return undefined;
  await appendFile(file, `${text === '' || text.endsWith('\n') ? '' : '\n'}.keelson/\n`);
  return file;
}
