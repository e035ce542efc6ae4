/** Whether an address or name is this machine's own, and no other can reach it. */
export function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '').toLowerCase();
  return (
    bare === 'localhost' ||
    bare.endsWith('.localhost') ||
    bare === '::1' ||
    /^(::ffff:)?127(\.\d{1,3}){3}$/.test(bare)
  );
}

/**
 * Whether a request to a server without authentication comes from this machine's own programs: not from a page of
 * another site in its browser, by that page's `Origin` or by a name that was made to point here (`Host`).
 */
export function isFromHere(headers: {
  readonly host?: string | undefined;
  readonly origin?: string | undefined;
}): boolean {
  const { host, origin } = headers;
  if (host !== undefined && !isLoopback(nameOf(`http://${host}`))) return false;
  return origin === undefined || isLoopback(nameOf(origin));
}

function nameOf(url: string): string {
  return URL.canParse(url) ? new URL(url).hostname : '';
}
