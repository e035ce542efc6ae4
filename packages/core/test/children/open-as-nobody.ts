/** Opens a directory as a user who may not write there: `open-as-nobody <dir>`; prints what comes of it. */
import { openPlatform } from '../../src/open-platform.ts';

const [dir = ''] = process.argv.slice(2);
if (process.getuid?.() === 0) {
  process.setgid?.(65_534);
  process.setuid?.(65_534);
}
try {
  await (await openPlatform({ dir })).close();
  console.log('opened');
} catch (error) {
  const { code, message } = error as Error & { readonly code: string };
  console.log(`${code} ${message}`);
}
