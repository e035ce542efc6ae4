import { createHash } from 'node:crypto';
import {
  existsSync,
  globSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { test as anyTest, onTestFinished } from 'vitest';

const server = fileURLToPath(new URL('../../', import.meta.url));
const ui = join(server, 'ui');
const patienceMs = 60_000;

const executablePath = process.env['KEELSON_CHROMIUM'] ?? '/usr/bin/chromium';

/** A test that looks at pages: left out, said loudly, where there is no Chromium; with `CI` set that throws. */
export const test: typeof anyTest.skip | typeof anyTest = hasChromium() ? anyTest : anyTest.skip;

function hasChromium(): boolean {
  if (existsSync(executablePath)) return true;
  const message = `There is no Chromium at ${executablePath}: apt-get install chromium, or set KEELSON_CHROMIUM to one.`;
  if (process.env['CI']) throw new Error(message);
  console.error(`\n*** LEFT OUT: tests of the dashboard. ${message}\n`);
  return false;
}

/** How a page is looked at. */
export interface Look {
  /** 1280 when left out. */
  readonly width?: number;
  readonly theme?: 'light' | 'dark';
}

/** A page of the dashboard in a real browser, which has seen nothing go wrong. */
export interface Sight {
  readonly page: Page;
  /** Goes to a place of the dashboard, such as `#/runs`. */
  go(hash: string): Promise<void>;
  /** What axe-core finds serious or critical on the page as it stands, named with its places. */
  faults(): Promise<readonly string[]>;
  /** Errors of scripts, of the console, of the policy, and answers that failed, so far. */
  readonly errors: string[];
}

let browser: Promise<Browser> | undefined;

/** Opens the dashboard of a server in Chromium; the page is closed with the test. */
export async function look(
  url: string,
  { width = 1280, theme = 'light' }: Look = {},
): Promise<Sight> {
  await builtDashboard();
  browser ??= chromium.launch({
    executablePath,
    // Tests run as root in containers, where Chromium's own sandbox cannot be made.
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });
  const running = await browser;
  const context = await running.newContext({
    viewport: { width, height: 820 },
    colorScheme: theme,
    reducedMotion: 'reduce',
    acceptDownloads: true,
  });
  onTestFinished(() => context.close());
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(String(error.stack)));
  page.on('console', (message) => {
    const isWrong = message.type() === 'error' || message.type() === 'warning';
    if (isWrong && !isHealth(message.location().url)) errors.push(message.text());
  });
  page.on('response', (response) => {
    if (response.status() >= 500 && !isHealth(response.url()))
      errors.push(`${response.status()} ${response.url()}`);
  });
  await page.goto(`${url}/ui/`);
  return {
    ...{ page, errors },
    async go(hash) {
      await page.evaluate(`location.hash = ${JSON.stringify(hash)}`);
    },
    async faults() {
      await page.evaluate(
        readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'),
      );
      return page.evaluate(async () => {
        const axe = (
          globalThis as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } }
        ).axe;
        const { violations } = await axe.run();
        return violations
          .filter(({ impact }) => impact === 'serious' || impact === 'critical')
          .map(
            ({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`,
          );
      });
    },
  };
}

/** Health is told with the status that probes read: 503 is an answer there. */
function isHealth(url: string): boolean {
  return url.endsWith('/api/v1/health');
}

interface Violation {
  readonly id: string;
  readonly impact: string;
  readonly nodes: readonly { readonly html: string }[];
}

/** Ends the browser of this file's tests. */
export async function closeBrowser(): Promise<void> {
  await (await browser)?.close();
  browser = undefined;
}

/** The directory of the dashboard, built from the sources as they are; by one process at a time, and not again. */
export async function builtDashboard(): Promise<string> {
  const hash = createHash('sha256');
  for (const file of [
    ...globSync('dashboard/**/*.{ts,tsx,css,html,svg}', { cwd: server }),
    ...globSync('src/api/**/*.ts', { cwd: server }),
  ].sort()) {
    hash.update(file).update(readFileSync(join(server, file)));
  }
  const stamp = join(ui, '.sources');
  const wanted = hash.digest('hex');
  const isBuilt = (): boolean => existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted;
  const lock = join(server, '.ui-lock');
  for (const until = Date.now() + patienceMs; !isBuilt(); ) {
    try {
      mkdirSync(lock);
    } catch {
      // Another builds it; one that was killed while it did leaves its lock, which is broken after a time.
      const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? 0;
      if (Date.now() - since > patienceMs / 2) rmSync(lock, { recursive: true, force: true });
      if (Date.now() > until)
        throw new Error('The dashboard is not built: somebody else builds it for too long.');
      await new Promise((resolve) => setTimeout(resolve, 100));
      continue;
    }
    try {
      if (!isBuilt()) {
        await import('../../dashboard/build.ts');
        writeFileSync(stamp, wanted);
      }
    } finally {
      rmSync(lock, { recursive: true, force: true });
    }
  }
  return ui;
}
