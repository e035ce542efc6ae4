import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findDebianProgram } from '../../../test/debian-program.ts';
import { until } from '../../../test/open-test-platform.ts';
import { openHttpReceiver } from '../../../test/receivers/http-receiver.ts';
import { notification, unhurried } from '../../../test/receivers/notification.ts';
import { alertmanagerNotifier } from './alertmanager-notifier.ts';

const program = findDebianProgram('prometheus-alertmanager');

interface GettableAlert {
  readonly labels: Record<string, string>;
  readonly annotations: Record<string, string>;
  readonly startsAt: string;
  readonly endsAt: string;
  readonly status: { readonly state: string };
}

describe.skipIf(program === undefined)('a real Alertmanager', () => {
  let url = '';
  let child: ChildProcess | undefined;
  let dir = '';

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'keelson-alertmanager-'));
    const config = join(dir, 'alertmanager.yml');
    await writeFile(config, 'route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n');
    const port = await freePort();
    url = `http://127.0.0.1:${port}/alerts`;
    child = spawn(
      program ?? '',
      [
        `--config.file=${config}`,
        `--storage.path=${join(dir, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--web.route-prefix=/alerts',
        '--cluster.listen-address=',
      ],
      { stdio: 'ignore' },
    );
    await until('Alertmanager is ready', async () => {
      const answer = await fetch(`${url}/-/ready`).catch(() => undefined);
      return answer?.status === 200;
    });
  });
  afterAll(async () => {
    child?.kill('SIGKILL');
    if (child !== undefined && child.exitCode === null) await once(child, 'exit');
    await rm(dir, { recursive: true, force: true });
  });

  async function alerts(key: string): Promise<GettableAlert[]> {
    const filter = encodeURIComponent(`key=${JSON.stringify(key)}`);
    const answer = await fetch(`${url}/api/v2/alerts?filter=${filter}`);
    return (await answer.json()) as GettableAlert[];
  }

  test('an alert fires once, and ends', async () => {
    const notifier = alertmanagerNotifier({ url, labels: { cluster: 'a' } });
    const one = notification({ at: Date.now() - 60_000, key: 'alert:1 "quoted" \\ ü' });
    await notifier.notify(one, unhurried());
    expect(await notifier.notify(one, unhurried())).toEqual({ code: 200 });
    expect(await alerts(one.key)).toMatchObject([
      {
        labels: {
          alertname: 'KeelsonAlert',
          cluster: 'a',
          source: 'keelson',
          deployment: 'fraud-api',
          rule: 'accuracy',
        },
        annotations: { summary: one.title, description: one.text, severity: 'CRITICAL' },
        startsAt: new Date(one.at).toISOString(),
        status: { state: 'active' },
      },
    ]);
    const end = { ...one, type: 'alert.resolved', state: 'RESOLVED', at: Date.now() } as const;
    await notifier.notify(end, unhurried());
    // What has ended is not among those that are active.
    await until('the alert has ended', async () => (await alerts(one.key)).length === 0);
  });

  test('a silence is respected, and named in the log', async () => {
    const notifier = alertmanagerNotifier({ url });
    const answer = await fetch(`${url}/api/v2/silences`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        matchers: [{ name: 'deployment', value: 'quiet', isRegex: false, isEqual: true }],
        startsAt: new Date().toISOString(),
        endsAt: new Date(Date.now() + 600_000).toISOString(),
        createdBy: 'ana',
        comment: 'being moved',
      }),
    });
    const { silenceID } = (await answer.json()) as { silenceID: string };
    const one = notification({ at: Date.now(), key: 'alert:2', details: { deployment: 'quiet' } });
    expect(await notifier.notify(one, unhurried())).toEqual({
      code: 200,
      suppressed: `silence ${silenceID}`,
    });
    expect(await alerts(one.key)).toMatchObject([{ status: { state: 'suppressed' } }]);
    const other = notification({ at: Date.now(), key: 'alert:3' });
    expect(await notifier.notify(other, unhurried())).toEqual({ code: 200 });
  });
});

test('a refused token is asked for anew; what is no Alertmanager is told of', async () => {
  const receiver = await openHttpReceiver(({ headers, method }) => {
    if (headers.authorization !== 'Bearer new') return { status: 401 };
    return { status: 200, body: method === 'GET' ? '[]' : '' };
  });
  const token = ({ fresh }: { fresh: boolean }): string => (fresh ? 'new' : 'old');
  const notifier = alertmanagerNotifier({ url: receiver.url, token });
  expect(await notifier.notify(notification(), unhurried())).toEqual({ code: 200 });
  const other = await openHttpReceiver(() => ({ status: 200, body: '<html>' }));
  const mistaken = alertmanagerNotifier({ url: other.url });
  await expect(mistaken.notify(notification(), unhurried())).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    message: expect.stringContaining('does not answer as Alertmanager') as string,
  });
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => {
    server.close(() => resolve());
  });
  return port;
}
