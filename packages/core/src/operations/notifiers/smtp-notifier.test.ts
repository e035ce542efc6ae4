import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import fc from 'fast-check';
import { SMTPServer, type SMTPServerOptions } from 'smtp-server';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { notification, unhurried } from '../../../test/receivers/notification.ts';
import { type SmtpOptions, smtpNotifier } from './smtp-notifier.ts';

interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  readonly text: string;
  readonly secure: boolean;
  readonly user: string | undefined;
}

/** A real SMTP server that keeps what it was sent. */
async function openServer(options: SMTPServerOptions): Promise<{ port: number; mails: Mail[] }> {
  const mails: Mail[] = [];
  const server = new SMTPServer({
    logger: false,
    onData(stream, session, done) {
      const parts: Buffer[] = [];
      stream.on('data', (part: Buffer) => parts.push(part));
      stream.on('end', () => {
        const { mailFrom, rcptTo } = session.envelope;
        mails.push({
          from: mailFrom === false ? '' : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          text: Buffer.concat(parts).toString('utf8'),
          secure: session.secure,
          user: session.user,
        });
        done();
      });
    },
    ...options,
  });
  // What a client breaks off is its own matter.
  server.on('error', () => undefined);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => new Promise<void>((resolve) => server.close(resolve)));
  return { port: (server.server.address() as AddressInfo).port, mails };
}

const plain: Partial<SMTPServerOptions> = { authOptional: true, disabledCommands: ['STARTTLS'] };

function options(port: number, over: Partial<SmtpOptions> = {}): SmtpOptions {
  return {
    host: 'localhost',
    port,
    tls: 'none',
    from: 'keelson@example.org',
    to: ['ana@example.org', 'bo@example.org'],
    ...over,
  };
}

function headersOf(mail: Mail): Map<string, string> {
  const head = mail.text.slice(0, mail.text.indexOf('\r\n\r\n'));
  const lines = head.replace(/\r\n[ \t]+/g, ' ').split('\r\n');
  return new Map(
    lines.map((line) => [
      line.slice(0, line.indexOf(':')).toLowerCase(),
      line.split(/:\s*/, 2)[1] ?? '',
    ]),
  );
}

describe('plain', () => {
  test('mails go to everybody, with an id of their own, as a thread of their trouble', async () => {
    const { port, mails } = await openServer(plain);
    const notifier = smtpNotifier(options(port));
    expect(await notifier.notify(notification(), unhurried())).toMatchObject({ code: 250 });
    const [mail] = mails;
    expect(mail).toMatchObject({
      from: 'keelson@example.org',
      to: ['ana@example.org', 'bo@example.org'],
    });
    const headers = headersOf(mail as Mail);
    expect(headers.get('message-id')).toBe('<0198c0de-0000-7000-8000-000000000050@example.org>');
    expect(headers.get('auto-submitted')).toBe('auto-generated');
    expect(headers.get('references')).toMatch(/^<[0-9a-f]+@example\.org>$/);
    expect(mail?.text).toContain('accuracy fell from 0.95 to 0.71');
    expect(mail?.text).toContain('threshold: 20');
  });

  test('nothing that anybody wrote becomes a header, a recipient or a command', async () => {
    const { port, mails } = await openServer(plain);
    const notifier = smtpNotifier(options(port));
    const evil = fc.constantFrom(
      'x\r\nBcc: eve@example.org',
      'x\nX-Injected: 1',
      'x\r\n\r\nbody',
      '\r\n.\r\nMAIL FROM:<eve@example.org>',
      '\u2028X-Injected: 1',
      'é\r\nX-Injected: 1',
      'y'.repeat(2000),
    );
    await fc.assert(
      fc.asyncProperty(evil, evil, evil, evil, async (title, text, correlationId, key) => {
        mails.length = 0;
        const one = notification({ title, text, correlationId, key, id: key });
        await notifier.notify({ ...one, details: { [text]: title } }, unhurried());
        expect(mails.length).toBe(1);
        const mail = mails[0] as Mail;
        expect(mail.to).toEqual(['ana@example.org', 'bo@example.org']);
        const names = [...headersOf(mail).keys()].sort();
        expect(names.filter((name) => !/^content-|^mime-version/.test(name))).toEqual(
          ['auto-submitted', 'date', 'from', 'message-id', 'references', 'subject', 'to'].concat(
            'x-correlation-id',
          ),
        );
      }),
      { numRuns: 12 },
    );
  });

  test('addresses that are two, or carry a line end, are refused when it is made', () => {
    for (const wrong of ['a@b.c, d@e.f', 'a@b.c\r\nBcc: d@e.f', 'a', 'a@b c', '']) {
      expect(() => smtpNotifier(options(25, { to: [wrong] }))).toThrow(/must be|Too small/);
      expect(() => smtpNotifier(options(25, { from: wrong }))).toThrow(/must be|Too small/);
    }
    expect(() => smtpNotifier(options(25, { user: 'u' }))).toThrow(/together/);
  });

  test('busy is for later, a refused recipient is for ever, silence ends', async () => {
    const answers: (Error & { responseCode?: number })[] = [];
    const { port } = await openServer({
      ...plain,
      onRcptTo: (_address, _session, done) => done(answers[0]),
    });
    const notifier = smtpNotifier(options(port));
    answers[0] = Object.assign(new Error('greylisted'), { responseCode: 451 });
    await expect(notifier.notify(notification(), unhurried())).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      details: { status: 451 },
    });
    answers[0] = Object.assign(new Error('no such user'), { responseCode: 550 });
    await expect(notifier.notify(notification(), unhurried())).rejects.toMatchObject({
      code: 'FAILED',
      details: { status: 550 },
    });
    const { createServer } = await import('node:net');
    const silent = createServer();
    await new Promise<void>((resolve) => {
      silent.listen(0, '127.0.0.1', resolve);
    });
    onTestFinished(() => new Promise<void>((resolve) => silent.close(() => resolve())));
    const silentPort = (silent.address() as AddressInfo).port;
    const late = smtpNotifier(options(silentPort, { timeoutMs: 100 }));
    await expect(late.notify(notification(), unhurried())).rejects.toMatchObject({
      class: 'transient',
    });
    const controller = new AbortController();
    const stopping = smtpNotifier(options(silentPort)).notify(notification(), controller.signal);
    controller.abort();
    await expect(stopping).rejects.toMatchObject({ code: 'ABORTED' });
  });
});

describe('TLS and users', () => {
  let key = '';
  let cert = '';
  beforeAll(async () => {
    const { mkdtemp, rm } = await import('node:fs/promises');
    const { tmpdir } = await import('node:os');
    const dir = await mkdtemp(join(tmpdir(), 'keelson-cert-'));
    await promisify(execFile)('openssl', [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ...['-keyout', join(dir, 'key.pem'), '-out', join(dir, 'cert.pem'), '-days', '2'],
      ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'],
    ]);
    key = await readFile(join(dir, 'key.pem'), 'utf8');
    cert = await readFile(join(dir, 'cert.pem'), 'utf8');
    await rm(dir, { recursive: true });
  });

  const auth = (password: () => string): Partial<SMTPServerOptions> => ({
    onAuth({ username, password: given }, _session, done) {
      if (given === password()) return done(null, { user: String(username) });
      done(Object.assign(new Error('wrong password'), { responseCode: 535 }));
    },
  });

  test.each(['starttls', 'implicit'] as const)('%s: encrypted, with a user', async (tls) => {
    const secure = tls === 'implicit';
    const { port, mails } = await openServer({ key, cert, secure, ...auth(() => 'right') });
    const given = { tls, ca: cert, user: 'keelson', password: 'right' };
    await smtpNotifier(options(port, given)).notify(notification(), unhurried());
    expect(mails).toMatchObject([{ secure: true, user: 'keelson' }]);
    const stranger = smtpNotifier(options(port, { tls, user: 'keelson', password: 'right' }));
    await expect(stranger.notify(notification(), unhurried())).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
    expect(mails.length).toBe(1);
  });

  test('a server that does not offer STARTTLS is told no password', async () => {
    const passwords: string[] = [];
    const { port, mails } = await openServer({
      disabledCommands: ['STARTTLS'],
      allowInsecureAuth: true,
      onAuth({ password }, _session, done) {
        passwords.push(String(password));
        done(null, { user: 'x' });
      },
    });
    const given = { tls: 'starttls', user: 'keelson', password: 'hidden' } as const;
    const error = await smtpNotifier(options(port, given))
      .notify(notification(), unhurried())
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: expect.stringMatching(/UNAVAILABLE|FAILED/) as string });
    expect([passwords, mails]).toEqual([[], []]);
  });

  test('a refused password is asked for anew, and is in no error', async () => {
    const { inspect } = await import('node:util');
    let right = 'right-1';
    const { port, mails } = await openServer({ key, cert, secure: true, ...auth(() => right) });
    const given = { tls: 'implicit', ca: cert, user: 'keelson' } as const;
    const notifier = smtpNotifier(
      options(port, { ...given, password: ({ fresh }) => (fresh ? right : 'right-1') }),
    );
    right = 'right-2';
    await notifier.notify(notification(), unhurried());
    expect(mails.length).toBe(1);
    const wrong = smtpNotifier(options(port, { ...given, password: 'hidden-word' }));
    const error = await wrong
      .notify(notification(), unhurried())
      .catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'FORBIDDEN', details: { status: 535 } });
    expect(inspect(error, { depth: 9, showHidden: true })).not.toContain('hidden-word');
  });
});
