import type { FlagOption, OptionValue, ValueOption } from './command.ts';

type TextOption = ValueOption & { readonly type: 'text' };

/** What every command takes. */
export const globalOptions: {
  readonly json: FlagOption;
  readonly dir: TextOption;
  readonly workspace: TextOption;
  readonly config: TextOption;
  readonly set: TextOption & { readonly many: true };
  readonly quiet: FlagOption;
  readonly debug: FlagOption;
  readonly help: FlagOption;
} = {
  json: { type: 'flag', summary: 'Print one JSON document (or a line of JSON for each item)' },
  dir: {
    type: 'text',
    placeholder: 'path',
    summary: 'Directory of the platform [.keelson]',
  },
  workspace: { type: 'text', placeholder: 'name', summary: 'Workspace [default]' },
  config: {
    type: 'text',
    placeholder: 'file',
    summary: 'Configuration [keelson.config.ts, .json or .yaml, here or above]',
  },
  set: {
    type: 'text',
    placeholder: 'key=value',
    many: true,
    summary: 'Any key of the configuration, such as log.level=info',
  },
  quiet: { type: 'flag', short: 'q', summary: 'No remarks and no progress on stderr' },
  debug: { type: 'flag', summary: 'Show where an error comes from (also KEELSON_DEBUG=1)' },
  help: { type: 'flag', short: 'h', summary: 'Show help' },
};

/** The values of {@link globalOptions}. */
export type GlobalValues = {
  readonly [K in keyof typeof globalOptions]: OptionValue<(typeof globalOptions)[K]>;
};
