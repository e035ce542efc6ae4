// Builds the dashboard into `packages/server/ui`, which the package ships. `--watch` goes on building.
import { fileURLToPath } from 'node:url';
import { build, type Plugin } from 'vite';
import { rowsOf } from '../src/api/route.ts';
import { routeTable } from '../src/api/route-table.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** `virtual:routes`: method, path and kind of answer of each row of the control plane, by its name. */
function routes(): Plugin {
  const name = 'virtual:routes';
  const rows = rowsOf(routeTable).map(({ resource, verb, row }) => [
    `${resource}.${verb}`,
    [row.method, row.path, row.answers.as, row.permission],
  ]);
  return {
    name: 'keelson-routes',
    resolveId: (id) => (id === name ? `\0${name}` : undefined),
    load: (id) =>
      id === `\0${name}`
        ? `export default ${JSON.stringify(Object.fromEntries(rows))};`
        : undefined,
  };
}

await build({
  configFile: false,
  root: here('.'),
  // Under any prefix.
  base: './',
  logLevel: 'warn',
  plugins: [routes()],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: here('../ui'),
    emptyOutDir: true,
    target: 'es2023',
    // Data addresses would need a weaker policy.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    watch: process.argv.includes('--watch') ? {} : null,
  },
});
