import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { openPlatform } from '@keelson/core';
import { createHandler } from '../../src/index.ts';

// node serve.ts DIR [PORT]: a platform behind HTTP; prints its address, and goes on until it is killed.
const [dir = '', port = '0'] = process.argv.slice(2);
const platform = await openPlatform({ dir });
const server = createServer(createHandler(platform).listener).listen(Number(port), '127.0.0.1');
await once(server, 'listening');
console.log(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
