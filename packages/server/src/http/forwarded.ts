import { BlockList, isIP } from 'node:net';
import { KeelsonError } from '@keelson/core';
import type { ServerHandle, ServerRequest } from './exchange.ts';

/** What is known of the proxies before a server; `true` stands for one that sets `X-Forwarded-*`. */
export type BehindProxy = true | ProxyOptions;

/** Which proxies stand before a server, and how they tell of callers. */
export interface ProxyOptions {
  /** How many stand one behind the other, each adding whom it was asked by; 1 when left out. */
  readonly hops?: number;
  /** `x-forwarded` (`X-Forwarded-For`, `-Proto`, `-Host`) when left out, or `Forwarded` (RFC 7239). */
  readonly header?: 'x-forwarded' | 'forwarded';
  /** Addresses and networks (`10.0.0.0/8`) of the proxy next to this server: nobody else is believed. Anybody when left out. */
  readonly addresses?: readonly string[];
}

/** What a proxy says of the one who asked it. */
interface Told {
  readonly client: string | undefined;
  readonly host: string | undefined;
  readonly scheme: string | undefined;
}

/**
 * Has a handler know callers by what trusted proxies say: `client`, `scheme`, and the header `host`. What callers wrote
 * into these headers themselves stands before what the proxies have added, and is not looked at. INVALID for options
 * that cannot be meant.
 */
export function believeProxies(handle: ServerHandle, behind: BehindProxy): ServerHandle {
  const { hops = 1, header = 'x-forwarded', addresses } = behind === true ? {} : behind;
  if (!Number.isSafeInteger(hops) || hops < 1) {
    throw new KeelsonError('INVALID', `behindProxy.hops must be an integer from 1, not ${hops}.`);
  }
  const trusted = addresses === undefined ? undefined : blockList(addresses);
  return async (request) => {
    if (trusted !== undefined && !holds(trusted, request.client ?? '')) return handle(request);
    const told = header === 'forwarded' ? forwarded(request, hops) : xForwarded(request, hops);
    return handle(withTold(request, told));
  };
}

function withTold(request: ServerRequest, { client, host, scheme }: Told): ServerRequest {
  return {
    ...request,
    ...(client === undefined ? {} : { client }),
    ...(scheme === 'http' || scheme === 'https' ? { scheme } : {}),
    ...(host === undefined ? {} : { headers: { ...request.headers, host } }),
  };
}

/** Lists grow at their end: the nth from there was added by the nth proxy, all before it by whoever. */
function xForwarded({ headers }: ServerRequest, hops: number): Told {
  const nth = (name: string): string | undefined => listOf(headers[name]).at(-hops);
  // Few proxies add to these two; most replace them.
  const last = (name: string): string | undefined => nth(name) ?? listOf(headers[name]).at(-1);
  return {
    client: bareAddress(nth('x-forwarded-for')),
    host: last('x-forwarded-host'),
    scheme: last('x-forwarded-proto')?.toLowerCase(),
  };
}

function forwarded({ headers }: ServerRequest, hops: number): Told {
  const text = listOf(headers['forwarded']).at(-hops) ?? '';
  const fields = new Map<string, string>();
  for (const [, name = '', quoted, plain] of text.matchAll(
    /([\w-]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]+))/g,
  )) {
    fields.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, '$1') ?? plain ?? '');
  }
  return {
    client: bareAddress(fields.get('for')),
    host: fields.get('host'),
    scheme: fields.get('proto')?.toLowerCase(),
  };
}

/** The members of a list of headers; commas within quotes part nothing. */
function listOf(value: string | readonly string[] | undefined): readonly string[] {
  const text = typeof value === 'string' ? value : (value?.join(',') ?? '');
  const members = text.match(/(?:"(?:[^"\\]|\\.)*"|[^,"])+/g) ?? [];
  return members.map((member) => member.trim()).filter((member) => member !== '');
}

/** An address without its port and brackets; undefined for what is none (`unknown`, `_hidden`). */
function bareAddress(text: string | undefined): string | undefined {
  if (text === undefined) return undefined;
  const [, six, four] = /^(?:\[([^\]]+)\](?::\d+)?|(\d+\.\d+\.\d+\.\d+):\d+)$/.exec(text) ?? [];
  const bare = six ?? four ?? text;
  return isIP(bare) === 0 ? undefined : bare;
}

function blockList(addresses: readonly string[]): BlockList {
  const list = new BlockList();
  for (const each of addresses) {
    const [address = '', prefix] = each.split('/');
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4';
    try {
      if (prefix === undefined) list.addAddress(address, family);
      else list.addSubnet(address, Number(prefix), family);
    } catch (cause) {
      throw new KeelsonError(
        'INVALID',
        `behindProxy.addresses: ${JSON.stringify(each)} is no address and no network such as 10.0.0.0/8.`,
        { cause },
      );
    }
  }
  return list;
}

function holds(list: BlockList, address: string): boolean {
  const bare = address.replace(/^::ffff:(?=\d+\.)/i, '');
  return isIP(bare) !== 0 && list.check(bare, isIP(bare) === 6 ? 'ipv6' : 'ipv4');
}
