import { configKeys, shownValue, variableOf } from '../../config/config-keys.ts';
import { type Command, defineCommand, UsageError } from '../command.ts';
import { nearest } from '../nearest.ts';

/** `keelson config`. */
export const command: Command = defineCommand({
  description:
    'Defaults, then keelson.config.ts (or .json, .yaml) here or above, then KEELSON_* variables, then options: what comes later outranks what comes before. Passwords in addresses are masked.',
  positionals: { key: { summary: 'Print the value of this key alone', optional: true } },
  examples: [
    ['keelson config', 'All keys'],
    ['keelson config server.port', 'One value, for scripts'],
    ['KEELSON_LOG_LEVEL=debug keelson config --json', 'With sources, as JSON'],
  ],
  async run({ positionals, out, config, env }) {
    const effective = await config();
    const rows = Object.entries(configKeys).map(([key, { summary }]) => {
      const [first = key, second] = key.split('.');
      const value = (effective.values as unknown as Record<string, unknown>)[first];
      const own = second === undefined ? value : (value as Record<string, unknown>)[second];
      return { key, value: shownValue(key, own), source: effective.sources[key] ?? '', summary };
    });
    const unknown = unknownVariables(env);
    const { key } = positionals;
    if (key !== undefined) {
      const row = rows.find((one) => one.key === key);
      if (row === undefined) {
        const near = nearest(key, Object.keys(configKeys));
        throw new UsageError(
          `There is no key "${key}".${near === undefined ? '' : ` Did you mean "${near}"?`}`,
        );
      }
      out.show({ key, value: row.value ?? null, source: row.source }, (view) =>
        view.text(String(row.value ?? '')),
      );
      return;
    }
    const document = {
      file: effective.file ?? null,
      values: Object.fromEntries(
        rows.map((row) => [row.key, { value: row.value ?? null, source: row.source }]),
      ),
      hasPlatformOptions: effective.values.platform !== undefined,
      unknownVariables: unknown,
    };
    out.show(document, (view) => {
      view.text(effective.file === undefined ? 'No configuration file.' : effective.file);
      view.text();
      view.table(rows, [
        { title: 'KEY', value: (row) => row.key, whole: true },
        { title: 'VALUE', value: (row) => (row.value === undefined ? '' : String(row.value)) },
        {
          title: 'SOURCE',
          value: (row) => (row.source === effective.file ? 'file' : row.source),
        },
      ]);
      if (effective.values.platform !== undefined) {
        view.text('\nThe file hands over options of openPlatform besides (platform).');
      }
      for (const { name, near } of unknown) {
        view.text(`\n${name} is no key of the configuration; did you mean ${near}?`);
      }
    });
  },
});

/** Variables that look like a mistyped key of the configuration. */
function unknownVariables(
  env: Readonly<Record<string, string | undefined>>,
): readonly { readonly name: string; readonly near: string }[] {
  const known = Object.keys(configKeys).map(variableOf);
  return Object.keys(env).flatMap((name) => {
    if (!name.startsWith('KEELSON_') || known.includes(name)) return [];
    const near = nearest(
      name.slice(8),
      known.map((one) => one.slice(8)),
    );
    return near === undefined ? [] : [{ name, near: `KEELSON_${near}` }];
  });
}
