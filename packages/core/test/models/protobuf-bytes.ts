/** A varint. */
export function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return Buffer.from([...bytes, Number(rest)]);
}

/** A field of protobuf: an integer, or a text, bytes or a message with its length (or one that is claimed). */
export function field(
  number: number,
  value: number | bigint | string | Uint8Array,
  claimedBytes?: number,
): Buffer {
  if (typeof value === 'number' || typeof value === 'bigint')
    return Buffer.concat([varint(number * 8), varint(value)]);
  const bytes = Buffer.from(value as string);
  return Buffer.concat([varint(number * 8 + 2), varint(claimedBytes ?? bytes.length), bytes]);
}

/** A message of fields. */
export function message(...fields: readonly Uint8Array[]): Buffer {
  return Buffer.concat(fields);
}
