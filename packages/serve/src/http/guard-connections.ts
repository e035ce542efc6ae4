import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** What went wrong on a connection before there was a request to answer, by Node's codes. */
const faults: Readonly<Record<string, readonly [status: number, reason: string, error: string]>> = {
  HPE_HEADER_OVERFLOW: [
    431,
    'Request Header Fields Too Large',
    'The headers are longer than 16 KiB.',
  ],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: [
    413,
    'Payload Too Large',
    'The extensions of chunks are too long.',
  ],
  ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'The request did not arrive in time.'],
};

const other = [400, 'Bad Request', 'The connection carries no HTTP/1.1 request.'] as const;

/** How long a refused caller may take to read its answer. */
const lingerMs = 1_000;

/**
 * Answers in JSON, as everything else is answered, what is no request (400), comes too slowly (408) or has too long
 * headers (431), and ends the connection. A caller that asks before it sends a body over the limit
 * (`Expect: 100-continue`) is refused before it has sent it.
 */
export function guardConnections(server: Server, options: { readonly maxBodyBytes: number }): void {
  /** The newest request of a connection. */
  const newest = new WeakMap<Duplex, IncomingMessage>();
  // Not documented, and there since Node 0.x: a caller that has said all and closed its half is still answered.
  (server as { httpAllowHalfOpen?: boolean }).httpAllowHalfOpen = true;
  server.prependListener('request', (request) => newest.set(request.socket, request));
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    const request = newest.get(socket);
    // Behind a request that is whole, an answer of ours would be taken for the one to that request.
    const isOwed = request?.complete === true;
    if (error.code === 'ECONNRESET' || isOwed || !socket.writable) {
      socket.destroy();
      return;
    }
    const [status, reason, message] = faults[error.code ?? ''] ?? other;
    const body = JSON.stringify({ error: message });
    const head = `HTTP/1.1 ${status} ${reason}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close`;
    socket.end(`${head}\r\n\r\n${body}`);
    socket.resume();
    destroyLater(socket);
  });
  server.on('checkContinue', (request, response) => {
    const length = Number(request.headers['content-length'] ?? 0);
    if (length <= options.maxBodyBytes) response.writeContinue();
    server.emit('request', request, response);
  });
}

/**
 * Has the connection end, once what is being answered has gone out, without a reset: one that is closed while the
 * caller still sends is reset, and then the caller may lose the answer. What it sends for a moment longer is read and
 * thrown away.
 */
export function endWithoutReset(socket: Socket): void {
  // Node calls this once the last response of a connection is out.
  socket.destroySoon = () => {
    socket.end();
    destroyLater(socket);
  };
}

function destroyLater(socket: Duplex): void {
  const timer = setTimeout(() => socket.destroy(), lingerMs).unref();
  socket.on('close', () => clearTimeout(timer));
}
