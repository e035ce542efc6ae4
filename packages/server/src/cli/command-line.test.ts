import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPlatform } from '@keelson/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCli } from '../../test/cli-bed.ts';
import { defineCommand } from './command.ts';
import { commandTable, groups } from './command-table.ts';
import { tableLines } from './table.ts';

const home = mkdtempSync(join(tmpdir(), 'keelson-cli-'));
const dir = join(home, 'platform');
beforeAll(async () => {
  await (await openPlatform({ dir })).close();
});
afterAll(() => rmSync(home, { recursive: true }));

describe('the command line', () => {
  it('lists every command in its help, and fits 80 columns', async () => {
    const { code, stdout } = await runCli(['--help']);
    expect(code).toBe(0);
    for (const { name } of commandTable) {
      const [first = name, second] = name.split(' ');
      expect(stdout).toContain(`\n  ${first} `);
      expect(second === undefined || first in groups).toBe(true);
    }
    expect(Math.max(...stdout.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  it.each(commandTable.map(({ name }) => name))('%s has help with examples', async (name) => {
    const { code, stdout } = await runCli([...name.split(' '), '--help'], { cwd: home });
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`Usage\n  keelson ${name} [\\s\\S]*Examples\n  # .*\n`));
    expect(stdout).toContain(`\n  keelson ${name}`);
  });

  it.each([
    [['gcc'], 'There is no command `keelson gcc`. Did you mean `keelson gc`?'],
    [['gc', '--older-then', '7d'], 'There is no option --older-then. Did you mean --older-than?'],
    [['gc', '--older-than', 'week'], '--older-than takes a duration'],
    [['gc', '--older-than'], '--older-than takes a value: --older-than <duration>.'],
    [['gc', '--grace', '1s'], '--grace must be at least 300000, not 1s.'],
    [['gc', 'everything'], '"everything" is one too many: this command takes nothing.'],
    [['gc', '--dry-run=yes'], '--dry-run takes no value.'],
    [['--json'], 'A command is missing'],
  ])('%j is wrong usage: 2, and what would be right', async (argv, sentence) => {
    const { code, stdout, stderr } = await runCli(argv, { dir });
    expect(stderr).toContain(sentence);
    expect(stderr).toMatch(/See `keelson .*--help`\./);
    expect([code, stdout]).toEqual([2, '']);
  });

  it('makes no platform where none is, and says how one is made', async () => {
    const { code, stdout, stderr } = await runCli(['gc', '--json'], { cwd: home });
    expect(code).toBe(1);
    expect(stderr).toBe(
      `error NOT_FOUND: There is no platform at ${join(home, '.keelson')}. Name another directory with --dir or KEELSON_DIR, or make one here: keelson init.\n`,
    );
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'NOT_FOUND' } });
  });

  it('shows a stack only when asked for', async () => {
    const room = { dir: join(home, 'none') };
    expect((await runCli(['gc'], room)).stderr).not.toMatch(/\n {4}at /);
    expect((await runCli(['gc', '--debug'], room)).stderr).toMatch(/\n {4}at /);
  });

  it('prints a document or text, coloured where that is wanted', async () => {
    expect((await runCli(['gc', '--json'], { dir })).json()).toMatchObject({ dryRun: false });
    const said = /Freed 0 B in 0 contents/;
    expect((await runCli(['gc'], { dir })).stdout).toMatch(said);
    const help = async (env: Record<string, string>, terminal?: number): Promise<string> =>
      (await runCli(['--help'], { env, ...(terminal === undefined ? {} : { terminal }) })).stdout;
    expect(await help({}, 80)).toContain('\u001b[');
    expect(await help({ NO_COLOR: '1' }, 80)).not.toContain('\u001b[');
    expect(await help({})).not.toContain('\u001b[');
    expect(await help({ FORCE_COLOR: '1' })).toContain('\u001b[');
  });
});

describe('a command that is told to end', () => {
  const endless = defineCommand({
    examples: [],
    async run({ platform, out }) {
      await platform();
      out.item({ begun: true }, 'begun');
      // It heeds no signal.
      await new Promise(() => undefined);
    },
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['a reader who has gone', 141],
  ] as const)(
    'by %s is left behind with exit code %i, and its platform closed',
    async (by, code) => {
      const answer = await runCli(['endless'], {
        dir,
        commands: [
          { name: 'endless', summary: 'Goes on', load: async () => ({ command: endless }) },
        ],
        during({ signal, breakStdout, onWrite }) {
          onWrite((all) => {
            if (all !== 'begun\n') return;
            if (by === 'a reader who has gone') breakStdout();
            else signal(by);
          });
        },
      });
      expect(answer).toMatchObject({ code, stdout: 'begun\n', stderr: '' });
    },
  );
});

describe('a table', () => {
  const columns = [
    { title: 'ID', value: (row: readonly string[]) => row[0], whole: true as const },
    { title: 'NAME', value: (row: readonly string[]) => row[1] },
    { title: 'NOTE', value: (row: readonly string[]) => row[2] },
  ];

  it('shortens the widest columns, keeps ids whole, and moves no cursor', () => {
    const row = ['0198-abcd', 'x'.repeat(60), 'a note\nwith \u001b[31mcolour and more of it'];
    const { head, body } = tableLines([row], columns, 40);
    expect(head).toBe('ID         NAME           NOTE');
    expect(body).toEqual(['0198-abcd  xxxxxxxxxxxx…  a note with \ufffd…']);
  });

  it('counts wide letters as two columns', () => {
    const { body } = tableLines([['1', '東京の天気予報', 'ok']], columns, 20);
    expect(body).toEqual(['1   東京の天…   ok']);
  });
});
