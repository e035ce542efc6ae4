import type { IncomingMessage, Server } from 'node:http';
import { Server as SecureServer } from 'node:https';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** What went wrong on a connection before there was a request to answer, by Node's codes. */
const faults: Readonly<Record<string, readonly [status: number, reason: string, detail: string]>> =
  {
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
    ERR_HTTP_REQUEST_TIMEOUT: [408, 'Request Timeout', 'The headers did not arrive in time.'],
  };
const other = [400, 'Bad Request', 'The connection carries no HTTP/1.1 request.'] as const;

/** How long a refused caller may take to read its answer. */
const lingerMs = 1_000;

/**
 * Keeps connections from being held: what is no request is answered (400), as are headers that come too slowly (408) or
 * are too long (431); a body of which nothing comes for `slowClientMs` ends its connection. A caller that has closed
 * its half is answered still, and none loses its answer to a reset.
 */
export function guardConnections(
  server: Server,
  { slowClientMs }: { readonly slowClientMs: number },
): void {
  /** The newest request of a connection. */
  const newest = new WeakMap<Duplex, IncomingMessage>();
  // Not documented, and there since Node 0.x: a caller that has said all and closed its half is still answered.
  (server as { httpAllowHalfOpen?: boolean }).httpAllowHalfOpen = true;
  server.prependListener('request', (request) => newest.set(request.socket, request));
  const connected = server instanceof SecureServer ? 'secureConnection' : 'connection';
  server.on(connected, (socket: Socket) => {
    socket.setNoDelay(true);
    endWithoutReset(socket);
  });
  server.setTimeout(slowClientMs, (socket) => {
    // Where the request is whole it is we who are slow, or a stream that has its own signs of life.
    // Bytes that wait, of which none was taken for so long: it is the caller who stands still.
    if (newest.get(socket)?.complete !== true || socket.writableLength > 0) socket.destroy();
  });
  server.on('clientError', (error: NodeJS.ErrnoException, socket) => {
    // Behind a request that is whole, an answer of ours would be taken for the one to that request.
    if (error.code === 'ECONNRESET' || newest.get(socket)?.complete === true || !socket.writable) {
      socket.destroy();
      return;
    }
    const [status, reason, detail] = faults[error.code ?? ''] ?? other;
    const body = JSON.stringify({ title: reason, status, code: 'INVALID', detail });
    const head = `HTTP/1.1 ${status} ${reason}\r\ncontent-type: application/problem+json\r\ncontent-length: ${body.length}\r\nconnection: close`;
    socket.end(`${head}\r\n\r\n${body}`);
    socket.resume();
    destroyLater(socket);
  });
}

/**
 * A connection that is closed while its caller still sends is reset, and then the caller may lose the answer. What it
 * sends for a moment longer is read and thrown away.
 */
function endWithoutReset(socket: Socket): void {
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
