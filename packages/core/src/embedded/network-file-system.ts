import { readFile, realpath, statfs } from 'node:fs/promises';

/** What is asked of the system about a path; replaced in tests. */
export interface FileSystemFacts {
  /** The `f_type` of statfs(2). */
  type(path: string): Promise<number>;
  /** The type of the mount that holds the path (`fuse.sshfs`), where the system can tell. */
  mountType(path: string): Promise<string | undefined>;
}

// Magic numbers of statfs(2) and linux/magic.h; FUSE is decided by the name of its mount.
const fuse = 0x65735546;
const byMagic: ReadonlyMap<number, string> = new Map([
  [0x6969, 'NFS'],
  [0x517b, 'SMB'],
  [0xff534d42, 'CIFS'],
  [0xfe534d42, 'SMB2'],
  [0x564c, 'NCP'],
  [0x5346414f, 'AFS'],
  [0x6b414653, 'AFS'],
  [0x73757245, 'Coda'],
  [0x00c36400, 'Ceph'],
  [0x01021997, '9P'],
  [0x0bd00bd0, 'Lustre'],
  [0x47504653, 'GPFS'],
  [0x19830326, 'BeeGFS'],
  [0x7461636f, 'OCFS2'],
  [0x01161970, 'GFS2'],
  [0x786f4256, 'VirtualBox shared folder'],
  [0xbacbacbc, 'VMware shared folder'],
  [0xaad7aaea, 'PanFS'],
  [0x013111a8, 'IBRIX'],
]);

const remoteFuse =
  /^fuse\.(sshfs|s3fs|s3ql|gcsfuse|goofys|rclone|mount-s3|mountpoint-s3|blobfuse2?|glusterfs|ceph|ceph-fuse|juicefs|JuiceFS.*|davfs2?|curlftpfs|smbnetfs|cvmfs|lizardfs|mfs|moosefs|seaweedfs|weed|hdfs.*|hadoop.*|alluxio.*|google-drive-ocamlfuse|onedriver|dropbox|ossfs|cosfs|obsfs|keybase|vmhgfs-fuse|gvfsd-fuse)$/;

/**
 * The name of the network file system that holds the path; undefined for a local one. Locks and shared
 * memory do not hold across hosts there, which a SQLite database in WAL mode needs. Only Linux can tell.
 */
export async function networkFileSystem(
  path: string,
  facts: FileSystemFacts = systemFacts,
): Promise<string | undefined> {
  // statfs gives a signed number on some systems.
  const magic = (await facts.type(path)) >>> 0;
  if (magic !== fuse) return byMagic.get(magic);
  const mount = await facts.mountType(path);
  return mount !== undefined && remoteFuse.test(mount) ? `FUSE (${mount})` : undefined;
}

const systemFacts: FileSystemFacts = {
  async type(path) {
    // Elsewhere these numbers mean other things.
    return process.platform === 'linux' ? (await statfs(path)).type : 0;
  },
  async mountType(path) {
    return mountTypeIn(await readFile('/proc/self/mountinfo', 'utf8'), await realpath(path));
  },
};

/** The type of the innermost mount above `path`, from the text of /proc/self/mountinfo (proc(5)). */
export function mountTypeIn(mountinfo: string, path: string): string | undefined {
  let best: { readonly point: string; readonly type: string | undefined } | undefined;
  for (const line of mountinfo.split('\n')) {
    // `36 35 98:0 /root /point options optional… - type source superoptions`
    const [left, right] = line.split(' - ');
    const point = unescapeOctal(left?.split(' ')[4] ?? '');
    if (point === '' || !holds(point, path)) continue;
    // Of two mounts on one point the later one is on top.
    if (best === undefined || point.length >= best.point.length) {
      best = { point, type: right?.split(' ')[0] };
    }
  }
  return best?.type;
}

function holds(point: string, path: string): boolean {
  return point === '/' || path === point || path.startsWith(`${point}/`);
}

function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
