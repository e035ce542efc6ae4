/** Who one is for a registry of images. */
export interface RegistryAuth {
  readonly username: string;
  readonly password: string;
  /**
   * The registry that these are for, such as `ghcr.io` or `registry.example.com:5000`: no other is told them. Any
   * that an image is pulled from when left out.
   */
  readonly serveraddress?: string;
}

/** The value of `X-Registry-Auth` for an image; undefined where nothing is known for its registry. */
export function registryHeader(
  image: string,
  auth: RegistryAuth | readonly RegistryAuth[] | undefined,
): string | undefined {
  const all = auth === undefined ? [] : 'username' in auth ? [auth] : auth;
  const registry = registryOf(image);
  const known =
    all.find(({ serveraddress: of }) => of !== undefined && hostOf(of) === registry) ??
    all.find(({ serveraddress: of }) => of === undefined);
  if (known === undefined) return undefined;
  // With the padding: engines take a value without it for none, and ask the registry as nobody.
  return Buffer.from(JSON.stringify({ serveraddress: registry, ...known }))
    .toString('base64')
    .replaceAll('+', '-')
    .replaceAll('/', '_');
}

const dockerHub = 'docker.io';

/** The registry of an image: what is before the first slash, where that is the name of a host. */
export function registryOf(image: string): string {
  const [first = '', ...more] = image.split('/');
  const isHost = more.length > 0 && (/[.:]/.test(first) || first === 'localhost');
  return isHost ? hostOf(first) : dockerHub;
}

function hostOf(address: string): string {
  const [host = ''] = address.replace(/^https?:\/\//, '').split('/');
  return ['index.docker.io', 'registry-1.docker.io'].includes(host) ? dockerHub : host;
}
