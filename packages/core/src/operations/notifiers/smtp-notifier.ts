import { Socket } from 'node:net';
import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { Notification, Notifier } from '../../contracts/ports.ts';
import { KeelsonError } from '../../errors.ts';
import { canonicalJson, storableText } from '../../json.ts';
import { type SecretSource, secretOption, withSecret } from '../secrets/secret-source.ts';
import { mailHtml, mailLines } from './mail-content.ts';
import { notifierName, notifierTimeout } from './notifier-options.ts';

/** How mail is sent. */
export interface SmtpOptions {
  /** `smtp` when left out. */
  readonly name?: string;
  readonly host: string;
  /** 587 when left out, 465 with `tls: 'implicit'`. */
  readonly port?: number;
  /**
   * `starttls` (when left out) refuses a server that does not offer it; `implicit` speaks TLS from the first
   * byte; `none` is for a relay on this machine.
   */
  readonly tls?: 'starttls' | 'implicit' | 'none';
  /** Trusted besides the system's, as PEM. */
  readonly ca?: string;
  readonly user?: string;
  readonly password?: SecretSource;
  readonly from: string;
  readonly to: readonly string[];
  /** Of one attempt; 30,000 when left out. */
  readonly timeoutMs?: number;
}

const address = z
  .string()
  .min(3)
  .max(320)
  .regex(/^[^\p{Cc},;]+@[^\p{Cc},;\s]+$/u, 'must be one mail address');

const shape = z.strictObject({
  name: notifierName.optional(),
  host: z.string().regex(/^[A-Za-z0-9.:-]{1,255}$/, 'must be a host name or address'),
  port: z.number().int().min(1).max(65_535).optional(),
  tls: z.enum(['starttls', 'implicit', 'none']).optional(),
  ca: z.string().optional(),
  user: z.string().min(1).optional(),
  password: secretOption.optional(),
  from: address,
  to: z.array(address).min(1).max(100),
  timeoutMs: notifierTimeout.optional(),
} satisfies Record<keyof SmtpOptions, z.ZodType>);

/**
 * Mails each notification, as plain text, and as HTML too where it has parts. `Message-ID` is made of the notification's id, so that mail
 * programs can leave out repeats; mails of one trouble are one thread. Needs the package nodemailer.
 */
export function smtpNotifier(options: SmtpOptions): Notifier {
  checkOptions(shape, options, 'smtpNotifier');
  const { name = 'smtp', password = '' } = options;
  if ((options.user === undefined) !== (options.password === undefined)) {
    throw new KeelsonError('INVALID', 'smtpNotifier takes user and password together.');
  }
  return {
    name,
    notify: (notification, signal) => {
      if (options.user === undefined) return send(options, undefined, notification, signal);
      return withSecret(password, (secret) => send(options, secret, notification, signal));
    },
  };
}

async function send(
  options: SmtpOptions,
  password: string | undefined,
  notification: Notification,
  signal: AbortSignal,
): Promise<{ readonly code: number; readonly said: string }> {
  const { createTransport } = await nodemailer();
  const { host, tls = 'starttls', timeoutMs = 30_000, user } = options;
  // Ours, so that it ends when it shall: nodemailer closes no connection that is at work.
  const socket = new Socket();
  const transport = createTransport({
    host,
    port: options.port ?? (tls === 'implicit' ? 465 : 587),
    secure: tls === 'implicit',
    requireTLS: tls === 'starttls',
    ignoreTLS: tls === 'none',
    tls: { ...(options.ca === undefined ? {} : { ca: options.ca }), servername: host },
    ...(user === undefined ? {} : { auth: { user, pass: password ?? '' } }),
    socket,
    connectionTimeout: timeoutMs,
    greetingTimeout: timeoutMs,
    socketTimeout: timeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const { promise: cut, reject } = Promise.withResolvers<never>();
  const end = (): void => {
    const code = signal.aborted ? 'ABORTED' : 'TIMEOUT';
    reject(new KeelsonError(code, `${host} did not take the mail within ${timeoutMs} ms.`));
  };
  deadline.addEventListener('abort', end);
  if (deadline.aborted) end();
  try {
    const sending = transport.sendMail(mailOf(options, notification));
    const { response } = await Promise.race([sending, cut]);
    return { code: Number.parseInt(response, 10) || 250, said: storableText(response, 200) };
  } catch (error) {
    throw smtpError(host, error as SmtpFault);
  } finally {
    deadline.removeEventListener('abort', end);
    socket.destroy();
    transport.close();
  }
}

async function nodemailer(): Promise<typeof import('nodemailer')> {
  try {
    return await import('nodemailer');
  } catch (cause) {
    throw new KeelsonError(
      'UNAVAILABLE',
      'smtpNotifier needs the package nodemailer: npm install nodemailer.',
      { cause },
    );
  }
}

function mailOf(options: SmtpOptions, notification: Notification): Record<string, unknown> {
  const { id, key, severity, state, title, text, details, at, correlationId } = notification;
  const { content } = notification;
  const domain = options.from
    .slice(options.from.lastIndexOf('@') + 1)
    .replace(/[^A-Za-z0-9.-]/g, '');
  const facts = Object.entries(details).map(
    ([name, value]) => `${name}: ${typeof value === 'string' ? value : canonicalJson(value)}`,
  );
  const thread = `<${hex(key)}@${domain}>`;
  return {
    from: options.from,
    to: [...options.to],
    subject: oneLine(`[${state === 'RESOLVED' ? 'RESOLVED' : severity}] ${title}`, 200),
    date: new Date(at),
    messageId: `<${hex(id)}@${domain}>`,
    references: thread,
    headers: {
      'Auto-Submitted': 'auto-generated',
      'X-Correlation-Id': oneLine(correlationId, 200),
    },
    ...(content === undefined ? {} : { html: mailHtml(notification, content) }),
    text: storableText(
      [
        text,
        '',
        ...(content === undefined ? facts : mailLines(content)),
        '',
        `at ${new Date(at).toISOString()}`,
        `correlation ${correlationId}`,
      ].join('\n'),
      100_000,
    ),
  };
}

/** No text of anybody's may begin a header of its own. */
function oneLine(text: string, max: number): string {
  return storableText(text.replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ').trim(), max);
}

function hex(text: string): string {
  return /^[A-Za-z0-9-]{1,100}$/.test(text)
    ? text
    : Buffer.from(text).toString('hex').slice(0, 200);
}

interface SmtpFault extends Error {
  readonly code?: string;
  readonly responseCode?: number;
  readonly response?: string;
}

/** Nodemailer's errors: what the server said, without what was sent to it. */
function smtpError(host: string, fault: SmtpFault): KeelsonError {
  if (fault instanceof KeelsonError) return fault;
  const { code, responseCode, response = '' } = fault;
  const said = storableText(response, 200);
  const details = { ...(responseCode === undefined ? {} : { status: responseCode }), said };
  if (code === 'EAUTH') {
    const message = `${host} refuses user and password (${said}); look at the secret of this notifier.`;
    return new KeelsonError('FORBIDDEN', message, { details });
  }
  if (responseCode !== undefined && responseCode >= 500 && code !== 'ECONNECTION') {
    return new KeelsonError('FAILED', `${host} does not take the mail: ${said}.`, { details });
  }
  const why = said === '' ? (code ?? 'no answer') : said;
  return new KeelsonError('UNAVAILABLE', `${host} did not take the mail: ${why}.`, { details });
}
