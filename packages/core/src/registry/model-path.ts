import { KeelsonError } from '../errors.ts';
import { normaliseArtifactPath } from '../tracking/artifact-path.ts';

const devices = /^(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)(\.|$)/i;

/**
 * The path of a file inside a version in its one spelling, which every file system can hold and which never
 * leads out of the directory that it is put into. INVALID as {@link normaliseArtifactPath}, and for names that
 * Windows keeps for itself or cannot spell.
 */
export function modelPath(path: string): string {
  const normal = normaliseArtifactPath(path);
  for (const part of normal.split('/')) {
    const why = unportable(part);
    if (why === undefined) continue;
    throw new KeelsonError(
      'INVALID',
      `The file ${JSON.stringify(normal)} ${why}: a version must fit every file system. Rename it.`,
      { details: { path: normal } },
    );
  }
  return normal;
}

function unportable(part: string): string | undefined {
  if (devices.test(part)) return `has a part ${part}, which is a device on Windows`;
  if (/[<>:"|?*]/.test(part)) return `has a part ${part} with one of < > : " | ? *`;
  if (/[. ]$/.test(part)) return `has a part ${JSON.stringify(part)} that ends in a dot or a space`;
  if (Buffer.byteLength(part) > 255) return 'has a part of more than 255 bytes';
  return undefined;
}

/**
 * Refuses, as INVALID and by both names, paths that cannot lie in one directory everywhere: the same but for
 * upper and lower case, or one that is a file and the directory of another.
 */
export function assertNoClash(paths: readonly string[]): void {
  const files = new Map<string, string>();
  for (const path of paths) {
    const same = files.get(folded(path));
    if (same !== undefined) throw clash(same, path, 'are one file where case does not count');
    files.set(folded(path), path);
  }
  for (const path of paths) {
    for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
      const above = files.get(folded(path.slice(0, slash)));
      if (above !== undefined) throw clash(above, path, 'cannot lie in one directory');
    }
  }
  assertSameSpelling(paths);
}

/** Directories too: `A/x` and `a/y` would come to lie in one, or in two, as the file system pleases. */
function assertSameSpelling(paths: readonly string[]): void {
  const spelled = new Map<string, { readonly directory: string; readonly path: string }>();
  for (const path of paths) {
    for (let slash = path.indexOf('/'); slash > 0; slash = path.indexOf('/', slash + 1)) {
      const directory = path.slice(0, slash);
      const known = spelled.get(folded(directory));
      if (known === undefined) spelled.set(folded(directory), { directory, path });
      else if (known.directory !== directory) {
        throw clash(known.path, path, 'are in one directory where case does not count');
      }
    }
  }
}

/** As file systems compare that do not tell upper from lower case. */
function folded(path: string): string {
  return path.toUpperCase().toLowerCase().normalize('NFC');
}

function clash(one: string, other: string, why: string): KeelsonError {
  const both = `${JSON.stringify(one)} and ${JSON.stringify(other)}`;
  const message =
    one === other ? `The file ${JSON.stringify(one)} is named twice` : `${both} ${why}`;
  return new KeelsonError('INVALID', `${message}; rename one of them.`, {
    details: { paths: [one, other] },
  });
}
