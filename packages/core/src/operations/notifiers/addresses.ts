import { BlockList, isIPv4, isIPv6 } from 'node:net';

/** Which addresses a notifier may call: those of private networks and this machine too, or public ones. */
export type AddressRange = 'private' | 'public';

/** Nobody's receiver: the unspecified address, link-local ones (cloud metadata), multicast. */
const always: BlockList = blocked([
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 4],
  ['240.0.0.0', 4],
  ['::', 128],
  ['fe80::', 10],
  ['ff00::', 8],
]);

/** This machine, private networks, and what is for documentation and tests. */
const inner: BlockList = blocked([
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['::1', 128],
  ['64:ff9b::', 96],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['fc00::', 7],
  ['fec0::', 10],
]);

/** Whether an address may not be called. IPv4 in IPv6's clothes is what it is underneath. */
export function isRefused(address: string, reach: AddressRange): boolean {
  const plain = address.replace(/%.*$/, '');
  const family = isIPv4(plain) ? 'ipv4' : isIPv6(plain) ? 'ipv6' : undefined;
  if (family === undefined) return true;
  if (always.check(plain, family)) return true;
  return reach === 'public' && inner.check(plain, family);
}

function blocked(subnets: readonly (readonly [string, number])[]): BlockList {
  const list = new BlockList();
  for (const [network, prefix] of subnets) {
    list.addSubnet(network, prefix, network.includes(':') ? 'ipv6' : 'ipv4');
  }
  return list;
}
