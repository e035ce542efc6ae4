import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { workspaceRoot } from './workspace-packages.ts';

/** Whom each room of packages/core/src may import, beside itself and the files that all share. */
const mayImport: Record<string, readonly string[]> = {
  contracts: [],
  statistics: [],
  language: ['contracts'],
  sql: ['contracts', 'statistics', 'language'],
  events: ['contracts', 'statistics', 'language'],
  archive: ['contracts', 'content'],
  operations: ['contracts', 'statistics', 'language', 'sql', 'events', 'archive'],
  tracking: upTo('operations'),
  registry: upTo('tracking'),
  pipelines: upTo('registry'),
  deployments: upTo('registry'),
  monitoring: [...upTo('registry'), 'pipelines', 'deployments'],
  content: ['contracts'],
  embedded: ['contracts', 'statistics', 'language', 'sql', 'content'],
  testing: ['contracts', 'statistics', 'language', 'sql'],
  remote: [...upTo('registry').filter((room) => room !== 'archive'), 'content', 'embedded'],
};

function upTo(room: string): readonly string[] {
  const order =
    'contracts statistics language sql events archive operations tracking registry'.split(' ');
  return order.slice(0, order.indexOf(room) + 1);
}

const rooms = Object.keys(mayImport);
const core = 'packages/core/src';

interface Plant {
  readonly path: string;
  readonly text: string;
  readonly legal: boolean;
}

function plant(path: string, specifier: string, legal: boolean): Plant {
  return { path, text: `import '${specifier}';\n`, legal };
}

const betweenRooms = rooms.flatMap((from) =>
  rooms.flatMap((to) => {
    const legal = from === to || (mayImport[from] ?? []).includes(to);
    return [
      plant(`${core}/${from}/to-${to}.ts`, `../${to}/planted.ts`, legal),
      plant(`${core}/${from}/model/to-${to}.ts`, `../../${to}/planted.ts`, legal),
      plant(`${core}/${from}/deep-to-${to}.ts`, `../${to}/model/planted.ts`, legal),
      plant(`${core}/${from}/to-${to}.test.ts`, `../${to}/planted.ts`, true),
    ];
  }),
);

const roomsAndTheRoot = rooms.flatMap((room) => [
  plant(`${core}/${room}/to-errors.ts`, '../errors.ts', true),
  plant(`${core}/${room}/model/to-errors.ts`, '../../errors.ts', true),
  plant(`${core}/${room}/to-node.ts`, 'node:path', true),
  plant(`${core}/${room}/to-face.ts`, '../index.ts', false),
  plant(`${core}/${room}/model/to-face.ts`, '../../index.ts', false),
  plant(`${core}/${room}/to-root.ts`, '../open-platform.ts', false),
  plant(`${core}/${room}/to-backups.ts`, '../backups.ts', false),
  plant(`${core}/${room}/model/to-root.ts`, '../../open-platform.ts', false),
  plant(`${core}/${room}/to-options.ts`, '../platform-options.ts', false),
  plant(`${core}/${room}/to-own-package.ts`, '@keelson/core', false),
  plant(`${core}/${room}/to-serve.ts`, '@keelson/serve', false),
  plant(`${core}/to-${room}.ts`, `./${room}/planted.ts`, false),
]);

const compositionRoot = [
  ...['contracts', 'events', 'monitoring', 'embedded'].map((room) => ({ room, legal: true })),
  { room: 'testing', legal: false },
].map(({ room, legal }) => ({ ...plant('', `./${room}/planted.ts`, legal), room }));

const packages = Object.entries({
  'store-pg': ['core'],
  'store-s3': ['core'],
  'runner-docker': ['core'],
  serve: ['core'],
  server: ['core', 'serve'],
}).flatMap(([from, allowed]) => [
  ...['core', 'serve', 'server', 'store-pg', 'store-s3', 'runner-docker'].flatMap((to) => [
    plant(`packages/${from}/src/to-${to}.ts`, `@keelson/${to}`, allowed.includes(to)),
    plant(`packages/${from}/src/to-${to}-sub.ts`, `@keelson/${to}/sql`, allowed.includes(to)),
    plant(`packages/${from}/test/past-${to}.ts`, `../../${to}/src/index.ts`, false),
    plant(`packages/${from}/src/a/past-${to}.ts`, `../../../${to}/src/a.ts`, false),
  ]),
  plant(`packages/${from}/src/to-npm.ts`, 'zod', true),
  plant(`packages/${from}/test/to-own-source.ts`, '../src/index.ts', true),
  plant(`packages/${from}/src/a/b/to-own-source.ts`, '../../index.ts', true),
]);

const examples = [
  plant('examples/01-train/to-core.ts', '@keelson/core', true),
  plant('examples/01-train/past-core.ts', '../../packages/core/src/index.ts', false),
];

const otherForms = [
  { name: 'type', text: `import type { A } from '../tracking/run.ts';\nexport type B = A;\n` },
  { name: 're-export', text: `export { a } from '../tracking/run.ts';\n` },
  { name: 're-export-all', text: `export * from '../tracking/run.ts';\n` },
  { name: 'dynamic', text: `export const a = await import('../tracking/run.ts');\n` },
].map(({ name, text }) => ({ path: `${core}/contracts/form-${name}.ts`, text, legal: false }));

const directory = mkdtempSync(join(tmpdir(), 'keelson-import-directions-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('import directions', () => {
  it('names every room of packages/core/src', () => {
    const found = readdirSync(join(workspaceRoot, core), { withFileTypes: true });
    const directories = found.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    expect(directories.filter((name) => !rooms.includes(name))).toEqual([]);
  });

  const cases: [string, readonly Plant[]][] = [
    ['between rooms', betweenRooms],
    ['between rooms and the files beside them', roomsAndTheRoot],
    ['of packages', packages],
    ['of examples', examples],
    ['in every form an import has', otherForms],
  ];
  it.each(cases)('%s are held by the linter', (_, plants) => {
    expectHeld(plants);
  });

  it.each(['backups', 'guard-services', 'open-platform', 'platform-options', 'index'])(
    'of %s.ts are held by the linter',
    (file) => {
      for (const { text, legal } of compositionRoot) {
        expectHeld([{ path: `${core}/${file}.ts`, text, legal }]);
      }
    },
  );
});

function expectHeld(plants: readonly Plant[]): void {
  const wrong = plants.filter(({ legal }) => !legal).map(({ path }) => path);
  expect(lint(plants).sort()).toEqual(wrong.sort());
}

/** The planted files whose imports the workspace's own linter settings refuse. */
function lint(plants: readonly Plant[]): string[] {
  const copy = mkdtempSync(join(directory, 'case-'));
  for (const name of ['biome.json', '.gitignore']) {
    copyFileSync(join(workspaceRoot, name), join(copy, name));
  }
  for (const { path, text } of plants) {
    mkdirSync(dirname(join(copy, path)), { recursive: true });
    writeFileSync(join(copy, path), text);
  }
  const biome = join(workspaceRoot, 'node_modules', '@biomejs', 'biome', 'bin', 'biome');
  const rule = 'style/noRestrictedImports';
  const run = spawnSync(
    process.execPath,
    [biome, 'lint', `--only=${rule}`, '--reporter=json', '--max-diagnostics=none'],
    { cwd: copy, encoding: 'utf8', maxBuffer: 2 ** 28 },
  );
  const report = JSON.parse(run.stdout) as {
    summary: { unchanged: number };
    diagnostics: { category: string; location: { path: string } }[];
  };
  expect(report.summary.unchanged, run.stderr).toBeGreaterThanOrEqual(plants.length);
  const refused = report.diagnostics.filter(({ category }) => category === `lint/${rule}`);
  return [...new Set(refused.map(({ location }) => location.path))];
}
