import { connect, type Socket } from 'node:net';
import type { Choices } from './random.ts';
import type { FuzzedRequest } from './requests.ts';

/** What a connection came to. */
export interface Talk {
  /** Statuses of the answers. */
  readonly statuses: readonly number[];
  /** Whether the server was left waiting for what was promised and never sent. */
  readonly abandoned: boolean;
}

/** After so long without a byte a caller goes away. */
const patienceMs = 200;

/** The bytes of requests on one connection, the framing of which may lie, sent in pieces. */
export function talkRaw(
  port: number,
  requests: readonly FuzzedRequest[],
  choices: Choices,
): Promise<Talk> {
  const bytes = Buffer.concat(
    requests.map((request, i) => frame(request, i === requests.length - 1, choices)),
  );
  const { promise, resolve } = Promise.withResolvers<Talk>();
  const heard: Buffer[] = [];
  let abandoned = false;
  const socket = connect(port, '127.0.0.1');
  socket.setTimeout(patienceMs, () => {
    abandoned = true;
    socket.destroy();
  });
  socket.on('data', (chunk) => heard.push(chunk));
  // A server that refuses closes while the rest is still being sent.
  socket.on('error', () => socket.destroy());
  socket.on('close', () =>
    resolve({ statuses: statusesIn(Buffer.concat(heard).toString('latin1')), abandoned }),
  );
  // Drawn before anything is waited for: a seed repeats it.
  const plan = planOf(choices);
  socket.on('connect', () => sendInPieces(socket, bytes, plan));
  return promise;
}

function statusesIn(text: string): number[] {
  return [...text.matchAll(/HTTP\/1\.1 (\d{3}) [^\r]*\r\n/g)].map(([, status]) => Number(status));
}

interface Plan {
  readonly pieces: number;
  readonly halfClose: boolean;
  readonly breakOff: boolean;
}

function planOf(choices: Choices): Plan {
  return {
    pieces: choices.chance(0.6) ? 1 : 2 + choices.below(6),
    halfClose: choices.chance(0.2),
    breakOff: choices.chance(0.05),
  };
}

function sendInPieces(socket: Socket, bytes: Buffer, { pieces, halfClose, breakOff }: Plan): void {
  const size = Math.max(1, Math.ceil(bytes.length / pieces));
  let at = 0;
  const next = (): void => {
    if (socket.destroyed) return;
    socket.write(bytes.subarray(at, at + size));
    at += size;
    if (at < bytes.length) setImmediate(next);
    else if (breakOff) socket.resetAndDestroy();
    else if (halfClose) socket.end();
  };
  next();
}

function frame(request: FuzzedRequest, isLast: boolean, choices: Choices): Buffer {
  const { method, url, headers, bytes } = request;
  const version = choices.chance(0.02)
    ? choices.of(['HTTP/1.0', 'HTTP/2.0', 'HTTQ/1.1', ''])
    : 'HTTP/1.1';
  const lines = [`${method} ${encodeURI(url).replaceAll('%25', '%')} ${version}`];
  if (!choices.chance(0.03)) lines.push('host: x');
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  if (isLast) lines.push('connection: close');
  if (choices.chance(0.02)) for (let i = 0; i < 3_000; i += 1) lines.push(`x-flood-${i}: ${i}`);
  if (choices.chance(0.02)) lines.push(`x-long: ${'a'.repeat(40_000)}`);
  if (choices.chance(0.02))
    lines.push(choices.of(['no colon', ': no name', 'a\u0000b: c', ' folded', 'host: y']));
  if (choices.chance(0.05)) lines.push('expect: 100-continue');
  let body: Buffer = bytes;
  if (choices.chance(0.25)) {
    lines.push('transfer-encoding: chunked');
    body = chunked(bytes, choices);
    if (choices.chance(0.1)) lines.push(`content-length: ${bytes.length}`);
  } else {
    const lie = choices.chance(0.12) ? choices.of([-1, 1, 10, -10, 1e6, 1e12]) : 0;
    const length = Math.max(0, bytes.length + lie);
    lines.push(
      `content-length: ${choices.chance(0.02) ? choices.of(['x', '-5', '1, 1', '']) : length}`,
    );
  }
  return Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), body]);
}

function chunked(bytes: Buffer, choices: Choices): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = 1 + choices.below(Math.max(1, bytes.length));
    const piece = bytes.subarray(at, at + size);
    const told = choices.chance(0.03)
      ? choices.of(['zz', 'ffffffffffffffff', '-1', ''])
      : piece.length.toString(16);
    parts.push(Buffer.from(`${told}\r\n`), piece, Buffer.from('\r\n'));
    at += size;
  }
  parts.push(Buffer.from(choices.chance(0.05) ? '0\r\nx: y\r\n' : '0\r\n\r\n'));
  return Buffer.concat(parts);
}
