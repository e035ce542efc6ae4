// Verifies an export of the audit trail with nothing but Node: node verify-audit-export.mjs trail.jsonl
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';

const sha256 = (text) => createHash('sha256').update(text).digest('hex');
const digests = new Map(); // of each link, by its place
const fail = (what) => {
  console.error(what);
  process.exit(1);
};
let links = 0;
for await (const line of linesOf(process.argv[2])) {
  const { kind, digest, text, events = [] } = JSON.parse(line);
  if (kind === undefined) continue; // the first line says what the file is
  const link = JSON.parse(text);
  const number = kind === 'entry' ? link.sequence : link.number;
  const chain = kind === 'entry' ? `entry of ${link.subject}` : 'seal';
  const place = `${chain} ${number}`;
  if (sha256(text) !== digest) fail(`${place} was altered`);
  const before = number === 1 ? '' : digests.get(`${chain} ${number - 1}`);
  if (link.previous !== before) fail(`${place} does not follow the link before it`);
  digests.set(place, digest);
  for (const { id, salt, text } of events) {
    const attested = link.attests.find(({ event }) => event === id);
    if (sha256(`${salt}\n${text}`) !== attested?.digest)
      fail(`event ${id} of ${place} was altered`);
  }
  for (const { subject, sequence, digest } of link.heads ?? []) {
    const found = digests.get(`entry of ${subject} ${sequence}`);
    if (found !== undefined && found !== digest)
      fail(`${place} says otherwise of ${subject} ${sequence}`);
  }
  links += 1;
}
console.log(`${links} links are whole`);

// By line feeds alone: readline breaks lines at U+2028 too, which JSON may have.
async function* linesOf(path) {
  let rest = '';
  for await (const text of createReadStream(path, 'utf8')) {
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop();
    yield* lines;
  }
  if (rest !== '') yield rest;
}
