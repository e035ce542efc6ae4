import type { Command, CommandRow } from '../src/cli/command.ts';
import { groups } from '../src/cli/command-table.ts';
import { exitCodeMeanings } from '../src/cli/exit-codes.ts';
import { globalOptions } from '../src/cli/global-options.ts';
import { optionTerms, usageLine } from '../src/cli/help.ts';
import { configKeys, variableOf } from '../src/config/config-keys.ts';

/** `docs/command-line.md`, made of what the command line itself knows. */
export function commandLinePage(
  commands: readonly { readonly row: CommandRow; readonly command: Command }[],
): string {
  return `<!-- Made of the tables in packages/server/src: KEELSON_WRITE_DOCS=1 vitest run command-line. -->

# The command line

\`npm install @keelson/server\` brings \`keelson\`. \`keelson --help\` lists what there is, \`keelson <command> --help\` has examples, and \`keelson completion bash|zsh|fish\` completes both.

\`\`\`sh
keelson init                      # a configuration, a first script, a platform
keelson run train.ts              # its first run
keelson serve                     # API, MLflow's protocol and dashboard on port 5000
keelson doctor                    # whether everything is in order
\`\`\`

With \`--json\` a command prints one document (those that go on for long: a line of JSON for each item); fields are added and never renamed, and a failure is \`{"error":{"code","message","details"}}\`. Remarks, progress and logs go to stderr. Tables fit the terminal, or \`COLUMNS\`, or 80 columns. \`NO_COLOR\` and \`FORCE_COLOR\` are heeded. Progress redraws on a terminal, and is a plain line every ten seconds elsewhere and where \`CI\` is set.

## Exit codes

| code | |
|---|---|
${exitCodeMeanings.map(([code, meaning]) => `| ${code} | ${meaning} |`).join('\n')}

\`keelson run\` ends with the code of its script; \`keelson serve\` with 0 when it was told to end and has.

## Options of every command

${list(optionTerms(globalOptions))}

## Commands

${commands.map(({ row, command }) => section(row, command)).join('\n\n')}

## Configuration

Defaults, then \`keelson.config.ts\` (\`.js\`, \`.json\`, \`.yaml\`; of the working directory or the nearest one above it, or \`--config\`, or \`KEELSON_CONFIG\`), then variables, then options: what comes later outranks what comes before. An unknown key or a wrong value is refused with where it stands and an example. Relative paths in a file are meant from the file. \`keelson config\` prints what is in force.

\`\`\`ts
import { defineConfig } from '@keelson/server';

export default defineConfig({
  store: 'postgres://keelson@db.internal/keelson', // needs @keelson/store-pg; ?schema= names another schema
  artifacts: 's3://models/keelson/?region=eu-central-1', // needs @keelson/store-s3
  server: { port: 8080 },
  platform: { heartbeatTimeoutMs: 60_000 }, // whatever else openPlatform takes; in .ts and .js alone
});
\`\`\`

A script opens the same platform by \`openPlatform(await platformOptions(await loadConfig()))\`, both of \`@keelson/server\`.

| key | default | variable | |
|---|---|---|---|
${Object.entries(configKeys)
  .map(([key, declared]) => {
    const standard =
      declared.default === undefined || declared.default === '' ? '' : `\`${declared.default}\``;
    const live = declared.live === true ? '. Taken up on SIGHUP' : '';
    return `| \`${key}\` | ${standard} | \`${variableOf(key)}\` | ${declared.summary}${live} |`;
  })
  .join('\n')}

\`keelson serve\` reads the configuration again on SIGHUP, takes up what is marked, says what waits for the next start, and goes on with what it had where the file is wrong.
`;
}

function section(row: CommandRow, command: Command): string {
  const places = Object.entries(command.positionals ?? {});
  const options = command.options ?? {};
  return [
    `### \`${usageLine(row.name, command)}\``,
    `${row.summary}.`,
    ...(command.description === undefined ? [] : [command.description.replaceAll('<', '\\<')]),
    ...(places.length === 0
      ? []
      : [list(places.map(([name, { summary }]) => [`<${name}>`, summary]))]),
    ...(Object.keys(options).length === 0 ? [] : [list(optionTerms(options))]),
    `\`\`\`sh\n${command.examples.map(([line, does]) => `${line}  # ${does}`).join('\n')}\n\`\`\``,
  ].join('\n\n');
}

function list(terms: readonly (readonly [string, string])[]): string {
  return terms.map(([term, meaning]) => `- \`${term}\` ${meaning}`).join('\n');
}

/** The groups that have no command yet are in no help; this names them. */
export function emptyGroups(commands: readonly CommandRow[]): readonly string[] {
  return Object.keys(groups).filter(
    (group) => !commands.some(({ name }) => name.startsWith(`${group} `)),
  );
}
