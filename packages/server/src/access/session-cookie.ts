import { headerOf, type ServerRequest } from '../http/exchange.ts';

const name = 'keelson_session';
const hours = 12;

/** The key or token that a browser was given to keep, where it sends it along. */
export function sessionOf(request: ServerRequest): string | undefined {
  const cookies = headerOf(request.headers, 'cookie')?.split(';') ?? [];
  const found = cookies.map((each) => each.trim()).find((each) => each.startsWith(`${name}=`));
  const value = found?.slice(name.length + 1);
  if (value === undefined || value === '') return undefined;
  try {
    return Buffer.from(value, 'base64url').toString('utf8');
  } catch {
    return undefined;
  }
}

/** The header that has a browser keep a key or token, out of reach of scripts and other sites; forget it without one. */
export function sessionCookie(
  request: ServerRequest,
  basePath: string,
  bearer: string | undefined,
): string {
  const isSecure = headerOf(request.headers, 'origin')?.startsWith('https:') === true;
  const value = bearer === undefined ? '' : Buffer.from(bearer).toString('base64url');
  const maxAge = bearer === undefined ? 0 : hours * 3600;
  const path = basePath === '' ? '/' : basePath;
  return `${name}=${value}; Path=${path}; Max-Age=${maxAge}; HttpOnly; SameSite=Strict${isSecure ? '; Secure' : ''}`;
}
