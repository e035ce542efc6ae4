import { rmSync } from 'node:fs';
import { captureEnvironment } from '../../src/tracking/environment.ts';

const args = process.argv.slice(2);
if (args.includes('--remove-directory')) rmSync(process.cwd(), { recursive: true });
const off = args.filter((arg) => arg.startsWith('--off=')).map((arg) => [arg.slice(6), false]);
console.log(JSON.stringify(await captureEnvironment(Object.fromEntries(off))));
