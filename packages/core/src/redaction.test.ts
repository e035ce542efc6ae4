import { expect, test } from 'vitest';
import { openTestPlatform, until } from '../test/open-test-platform.ts';
import type { Logger } from './contracts/ports.ts';
import { KeelsonError } from './errors.ts';
import { correlatedLogger } from './events/correlated-logger.ts';
import { withCorrelation } from './events/correlation.ts';
import { noteSecret, redact, redactText } from './redaction.ts';

const secret = 'hunter2-hunter2';

test('text loses what is secret, and keeps the rest', () => {
  noteSecret(secret);
  noteSecret('short');
  expect(redactText(`before ${secret} after, short`)).toBe('before [redacted] after, short');
  expect(redactText('postgres://keelson:p%40ss@db:5432/x and https://hooks.example/x')).toBe(
    'postgres://keelson:[redacted]@db:5432/x and https://hooks.example/x',
  );
  expect(redactText('authorization: Bearer abc.def-ghi')).toBe('authorization: Bearer [redacted]');
  const key = `keelson_default.${'a'.repeat(12)}.${'b'.repeat(43)}`;
  expect(redactText(`${key} is unknown`)).toBe(
    `keelson_default.${'a'.repeat(12)}.[redacted] is unknown`,
  );
});

test('fields lose it under keys that say so, however deep; what has none is the same object', () => {
  const fields = {
    a: [{ password: 'x', n: 1 }],
    'x-api-key': 'k',
    tokens: 5,
    token: '',
    nextToken: 'n',
  };
  expect(redact(fields)).toEqual({
    ...{ a: [{ password: '[redacted]', n: 1 }], 'x-api-key': '[redacted]' },
    ...{ tokens: 5, token: '', nextToken: 'n' },
  });
  const clean = { a: [{ n: 1, at: new Date(0) }] };
  expect(redact(clean)).toBe(clean);
  const ring: Record<string, unknown> = { password: 'x' };
  ring['self'] = ring;
  expect(redact(ring)['password']).toBe('[redacted]');
});

test('errors stay errors, without it: message, stack, cause and details', () => {
  noteSecret(secret);
  const cause = Object.assign(new TypeError(`connect with ${secret}`), { code: 'ECONNREFUSED' });
  const found = redact(new Error('outer', { cause }));
  expect([found instanceof Error, found.message]).toEqual([true, 'outer']);
  const inner = found.cause as TypeError & { readonly code: string };
  expect([inner instanceof TypeError, inner.message, inner.code]).toEqual([
    ...[true, 'connect with [redacted]', 'ECONNREFUSED'],
  ]);
  expect(inner.stack).not.toContain(secret);
  expect(cause.message).toContain(secret);
  const ours = new KeelsonError('FORBIDDEN', `${secret} is wrong`, { details: { given: secret } });
  expect(JSON.stringify(ours)).not.toContain(secret);
  expect(ours.stack).not.toContain(secret);
});

/** As pino is: its methods need their `this`, and it writes what is under `err` by a serializer of its own. */
class PinoLike implements Logger {
  readonly lines: Record<string, unknown>[] = [];
  #write(level: number, fields: object, msg: string): void {
    const { err } = fields as { readonly err?: Error };
    const shown = err === undefined ? {} : { err: { type: err.name, message: err.message } };
    this.lines.push(JSON.parse(JSON.stringify({ level, ...fields, ...shown, msg })));
  }
  debug(fields: object, msg: string): void {
    this.#write(20, fields, msg);
  }
  info(fields: object, msg: string): void {
    this.#write(30, fields, msg);
  }
  warn(fields: object, msg: string): void {
    this.#write(40, fields, msg);
  }
  error(fields: object, msg: string): void {
    this.#write(50, fields, msg);
  }
}

test('a logger of the shape of pino fits as it is: each line has its correlation and the code of its error', () => {
  noteSecret(secret);
  const pino = new PinoLike();
  const logger = correlatedLogger(pino);
  withCorrelation({ correlationId: 'c-1' }, () => {
    const error = new KeelsonError('UNAVAILABLE', `No way to ${secret}.`);
    logger.warn({ component: 'events', operation: 'deliver', error }, `Of ${secret}.`);
    logger.error(
      { component: 'x', error: Object.assign(new Error('gone'), { code: 'EPIPE' }) },
      'y',
    );
  });
  expect(pino.lines).toMatchObject([
    {
      ...{ level: 40, component: 'events', operation: 'deliver', correlationId: 'c-1' },
      ...{
        errorCode: 'UNAVAILABLE',
        msg: 'Of [redacted].',
        error: { message: 'No way to [redacted].' },
      },
    },
    { level: 50, errorCode: 'EPIPE', err: { message: 'gone' }, correlationId: 'c-1' },
  ]);
});

test('a secret that a handler throws is in no log line, no event and no record', async () => {
  noteSecret(secret);
  const { platform, logs } = await openTestPlatform();
  const { events } = platform;
  const options = { types: ['bill.sent'], from: 'start', maxAttempts: 1 } as const;
  await events.subscribe('bills', options, () => {
    throw new Error(`The server said: ${secret} is expired (postgres://a:b-password@h/d).`);
  });
  await events.publish({ type: 'bill.sent', subject: 'bill', payload: {} });
  await until('it is given up', async () => {
    await events.deliver();
    return (await events.deadLetters('bills')).length > 0;
  });
  const told = await Array.fromAsync(events.each({ types: ['event.dead-lettered'] }));
  expect(told).toHaveLength(1);
  const everything = JSON.stringify([told, await events.deadLetters('bills'), logs.map(String)]);
  for (const hidden of [secret, 'b-password']) expect(everything).not.toContain(hidden);
  const shown = logs.flatMap(({ fields }) => {
    const { error } = fields as { readonly error?: Error };
    return [error?.message, error?.stack];
  });
  expect(shown.join('\n')).toContain('[redacted]');
  expect(shown.join('\n')).not.toContain(secret);
});
