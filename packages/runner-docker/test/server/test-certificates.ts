import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execute } from './test-engine.ts';

/** A key and what it is certified by, as PEM. */
export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** An authority of the tests, made with `openssl`. */
export class TestAuthority {
  readonly #dir: string;
  /** Its own certificate. */
  readonly ca: string;

  private constructor(dir: string, ca: string) {
    this.#dir = dir;
    this.ca = ca;
  }

  static async make(): Promise<TestAuthority> {
    const dir = await mkdtemp(join(tmpdir(), 'keelson-authority-'));
    const [key, cert] = [join(dir, 'ca.key'), join(dir, 'ca.pem')];
    const name = ['-subj', '/CN=an authority of the tests', '-days', '2'];
    await openssl('req', '-x509', ...newKey, '-keyout', key, '-out', cert, ...name);
    return new TestAuthority(dir, await readFile(cert, 'utf8'));
  }

  /** For a server of these names (`DNS:…`, `IP:…`), or for a client; `days` of less than none have passed. */
  async issue(of: 'client' | readonly string[], days = 2): Promise<Certificate> {
    const [key, asked, cert, more] = ['key', 'csr', 'pem', 'ext'].map((end) =>
      join(this.#dir, `issued.${end}`),
    ) as [string, string, string, string];
    const usage =
      of === 'client'
        ? 'extendedKeyUsage=clientAuth'
        : `extendedKeyUsage=serverAuth\nsubjectAltName=${of.join(',')}`;
    await writeFile(more, usage);
    await openssl('req', ...newKey, '-keyout', key, '-out', asked, '-subj', '/CN=a test');
    await openssl(
      ...['x509', '-req', '-in', asked, '-out', cert, '-extfile', more, '-days', String(days)],
      ...['-CA', join(this.#dir, 'ca.pem'), '-CAkey', join(this.#dir, 'ca.key')],
      '-CAcreateserial',
    );
    return { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
  }

  /** The files of this authority and of a certificate, for a daemon's flags. */
  async files({
    cert,
    key,
  }: Certificate): Promise<readonly [ca: string, cert: string, key: string]> {
    const names = ['ca.pem', 'daemon.pem', 'daemon.key'] as const;
    const [ca, ...paths] = names.map((name) => join(this.#dir, name)) as [string, string, string];
    await Promise.all([writeFile(paths[0], cert), writeFile(paths[1], key)]);
    return [ca, ...paths];
  }

  async remove(): Promise<void> {
    await rm(this.#dir, { recursive: true });
  }
}

const newKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];

async function openssl(...args: readonly string[]): Promise<void> {
  await execute('openssl', args);
}
