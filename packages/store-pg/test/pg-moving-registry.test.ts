import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { newBucket } from '../../store-s3/test/s3-harness.ts';
import { credentials, S3Gateway } from '../../store-s3/test/server/gateway.ts';
import { describeOnPg } from './server/test-database.ts';

const example = new URL('../../../examples/13-moving-the-registry/main.ts', import.meta.url);

await describeOnPg('a registry of files', ({ url }) => {
  let gateway: S3Gateway;
  beforeAll(async () => {
    gateway = await S3Gateway.start();
  });
  afterAll(() => gateway?.stop());

  test('moves to PostgreSQL and S3 and back, the same to the byte', async () => {
    const place = await newBucket(gateway);
    const env = {
      ...process.env,
      KEELSON_TEST_PG_URL: url,
      KEELSON_TEST_S3_BUCKET: place.bucket,
      KEELSON_TEST_S3_ENDPOINT: place.endpoint,
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_REGION: 'us-east-1',
    };
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ['--conditions=keelson:source', '--disable-warning=ExperimentalWarning', example.pathname],
      { env },
    );
    expect(stdout).toContain('Records there: PostgreSQL; content: S3');
    expect(stdout).toContain('the same bytes three times');
    expect(stdout.match(/audit: 0 problems/g)).toHaveLength(3);
  }, 120_000);
});
