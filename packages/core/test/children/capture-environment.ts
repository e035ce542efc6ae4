import { rmSync } from 'node:fs';
import { captureEnvironment } from '../../src/tracking/environment.ts';

const args = process.argv.slice(2);
if (args.includes('--remove-directory')) rmSync(process.cwd(), { recursive: true });
const off = args.filter((arg) => arg.startsWith('--off=')).map((arg) => [arg.slice(6), false]);
const { patch, ...captured } = await captureEnvironment(Object.fromEntries(off));
const encoded = patch === undefined ? {} : { patch: Buffer.from(patch).toString('base64') };
console.log(JSON.stringify({ ...captured, ...encoded }));
