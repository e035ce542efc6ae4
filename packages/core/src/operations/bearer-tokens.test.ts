import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import { beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { openTestPlatform } from '../../test/open-test-platform.ts';
import type { Clock, Principal } from '../contracts/ports.ts';
import type { JsonObject } from '../json.ts';
import { createTokenVerifier, type TokenOptions } from './bearer-tokens.ts';

const issuer = 'https://issuer.example';
const audience = 'keelson';
const silent = (): void => undefined;

type Pair = Awaited<ReturnType<typeof generateKeyPair>> & { readonly kid: string };
let one: Pair;
let two: Pair;
let curve: Pair;

beforeAll(async () => {
  const pair = async (alg: string, kid: string): Promise<Pair> => ({
    ...(await generateKeyPair(alg, { extractable: true })),
    kid,
  });
  [one, two, curve] = await Promise.all([
    pair('RS256', 'one'),
    pair('RS256', 'two'),
    pair('ES256', 'curve'),
  ]);
});

/** An issuer on this machine whose keys can change and that can be away. */
async function openIssuer(...pairs: readonly Pair[]) {
  const state = { pairs, away: false, asked: 0 };
  const server: Server = createServer((_request, response) => {
    state.asked += 1;
    void (async () => {
      const keys = await Promise.all(
        state.pairs.map(async ({ publicKey, kid }) => ({ ...(await exportJWK(publicKey)), kid })),
      );
      response.statusCode = state.away ? 503 : 200;
      response.setHeader('content-type', 'application/json');
      response.end(JSON.stringify({ keys }));
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { state, jwks: `http://127.0.0.1:${port}/keys` };
}

function verifier(options: Partial<TokenOptions> & Pick<TokenOptions, 'jwks'>, clock?: Clock) {
  const warned: string[] = [];
  const warn = (_fields: object, message: string): void => {
    warned.push(message);
  };
  const logger = { debug: silent, info: silent, warn, error: silent };
  const parts = { clock: clock ?? { now: () => Date.now() }, logger };
  return { verify: createTokenVerifier({ issuer, audience, ...options }, parts), warned };
}

function sign(
  pair: Pair,
  claims: Readonly<Record<string, unknown>> = {},
  header: object = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const all: Record<string, unknown> = {
    sub: 'ana',
    iss: issuer,
    aud: audience,
    exp: now + 60,
    ...claims,
  };
  return new SignJWT(all)
    .setProtectedHeader({ alg: pair === curve ? 'ES256' : 'RS256', kid: pair.kid, ...header })
    .sign(pair.privateKey);
}

const refusedFor = (why: string) => ({ code: 'FORBIDDEN', message: expect.stringContaining(why) });

describe('a token', () => {
  test('of the issuer says who somebody is, and by options which roles come with it', async () => {
    const { jwks } = await openIssuer(one, curve);
    const { verify } = verifier({ jwks });
    expect(await verify(await sign(one))).toEqual({ id: 'user:ana', roles: [] });
    expect(await verify(await sign(curve))).toEqual({ id: 'user:ana', roles: [] });
    const mapped = verifier({
      jwks,
      principal: (claims) => `service:${claims['client']}`,
      roles: (claims) => claims['groups'] as string[],
    });
    const claims = { client: 'trainer', groups: ['editor', 'viewer@workspace:b'] };
    expect(await mapped.verify(await sign(one, claims))).toEqual({
      id: 'service:trainer',
      roles: ['editor', 'viewer@workspace:b'],
    });
    await expect(mapped.verify(await sign(one, { client: 'x', groups: 7 }))).rejects.toMatchObject(
      refusedFor('no principal'),
    );
  });

  test.each<[string, string, (pair: Pair) => Promise<string> | string]>([
    ['is expired', 'expired', (pair) => sign(pair, { exp: Math.floor(Date.now() / 1000) - 6 })],
    ['is not yet good', 'nbf', (pair) => sign(pair, { nbf: Math.floor(Date.now() / 1000) + 60 })],
    ['is of another issuer', 'iss', (pair) => sign(pair, { iss: 'https://other.example' })],
    ['is for somebody else', 'aud', (pair) => sign(pair, { aud: 'other' })],
    ['never ends', 'exp', (pair) => sign(pair, { exp: undefined })],
    ['names nobody', 'sub', (pair) => sign(pair, { sub: undefined })],
    ['is signed by another key of that name', 'signature', () => sign({ ...two, kid: 'one' })],
    ['is signed by a key that nobody has', 'no key', () => sign({ ...two, kid: 'three' })],
    [
      'is not signed',
      'token',
      () => new UnsecuredJWT({ sub: 'ana' }).setIssuer(issuer).setAudience(audience).encode(),
    ],
    ['is none', 'token', () => 'a.b.c'],
  ])('that %s is refused', async (_what, why, make) => {
    const { jwks } = await openIssuer(one);
    const token = await make(one);
    const refused = verifier({ jwks }).verify(token);
    await expect(refused).rejects.toMatchObject(refusedFor(why));
    await refused.catch((error: Error) => expect(error.message).not.toContain(token));
  });

  test('signed with the issuer’s public key as a secret is refused', async () => {
    const { jwks } = await openIssuer(one);
    const { n } = await exportJWK(one.publicKey);
    const now = Math.floor(Date.now() / 1000);
    const forged = await new SignJWT({ sub: 'ana', iss: issuer, aud: audience, exp: now + 60 })
      .setProtectedHeader({ alg: 'HS256', kid: 'one' })
      .sign(Buffer.from(n ?? '', 'base64url'));
    await expect(verifier({ jwks }).verify(forged)).rejects.toMatchObject(refusedFor('algorithm'));
  });

  test('may be off by the tolerance of the clocks', async () => {
    const { jwks } = await openIssuer(one);
    const exp = Math.floor(Date.now() / 1000) + 60;
    const token = await sign(one, { exp });
    const at = (ms: number) => ({ now: () => exp * 1000 + ms });
    await verifier({ jwks }, at(4000)).verify(token);
    const late = verifier({ jwks }, at(6000)).verify(token);
    await expect(late).rejects.toMatchObject(refusedFor('expired'));
    await verifier({ jwks, clockToleranceMs: 10_000 }, at(6000)).verify(token);
  });

  test('is verified by keys that are handed over, without any request', async () => {
    const jwk = { ...(await exportJWK(one.publicKey)), kid: 'one' } as JsonObject;
    const { verify } = verifier({ jwks: { keys: [jwk] } });
    expect(await verify(await sign(one))).toEqual({ id: 'user:ana', roles: [] });
    await expect(verify(await sign(two))).rejects.toMatchObject(refusedFor('no key'));
  });
});

describe('the issuer’s keys', () => {
  test('are fetched again for an unknown one, once in the cooldown whatever is sent', async () => {
    const { state, jwks } = await openIssuer(one);
    const { verify } = verifier({ jwks, cooldownMs: 0 });
    await verify(await sign(one));
    expect(state.asked).toBe(1);
    state.pairs = [one, two];
    await verify(await sign(two));
    expect(state.asked).toBe(2);
    // Rotated away: no longer good once the keys were fetched again.
    state.pairs = [two];
    await expect(verify(await sign({ ...two, kid: 'none' }))).rejects.toMatchObject({});
    await expect(verify(await sign(one))).rejects.toMatchObject(refusedFor('no key'));

    const slow = verifier({ jwks, cooldownMs: 3_600_000 });
    await slow.verify(await sign(two));
    const { asked } = state;
    for (let i = 0; i < 20; i += 1) {
      await expect(slow.verify(await sign({ ...two, kid: `k${i}` }))).rejects.toMatchObject({});
    }
    expect(state.asked).toBe(asked);
  });

  test('go on while the issuer is away, and are fetched when they are old', async () => {
    const { state, jwks } = await openIssuer(one);
    const { verify, warned } = verifier({ jwks, cooldownMs: 0, maxAgeMs: 1 });
    await verify(await sign(one));
    state.away = true;
    for (let i = 0; i < 5; i += 1) await verify(await sign(one));
    await expect.poll(() => warned.length).toBeGreaterThan(0);
    state.away = false;
    state.pairs = [two];
    await expect
      .poll(async () =>
        verify(await sign(two)).then(
          ({ id }) => id,
          () => 'refused',
        ),
      )
      .toBe('user:ana');
  });

  test('that never came make it UNAVAILABLE, and come when the issuer does', async () => {
    const { state, jwks } = await openIssuer(one);
    state.away = true;
    const { verify } = verifier({ jwks });
    await expect(verify(await sign(one))).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    state.away = false;
    expect((await verify(await sign(one))).id).toBe('user:ana');
  });

  test('are fetched only from addresses that others cannot change on the way', async () => {
    const tokens = { issuer, audience, jwks: 'http://issuer.example/keys' };
    await expect(openTestPlatform({ access: { tokens } })).rejects.toMatchObject({
      code: 'INVALID',
      message: expect.stringContaining('https:'),
    });
  });
});

test('a platform takes tokens where it was told whose, and acts by the roles that they bring', async () => {
  const { jwks } = await openIssuer(one);
  const roles = (claims: JsonObject) => claims['roles'] as string[];
  const tokens = { issuer, audience, jwks, roles };
  const { platform } = await openTestPlatform({ access: { tokens } });
  const bearer = await sign(one, { roles: ['viewer'] });
  const principal: Principal = await platform.authenticate({ bearer });
  const ana = platform.as({ principal });
  await ana.tracking.listExperiments();
  await expect(ana.tracking.createExperiment({ name: 'x' })).rejects.toMatchObject({
    code: 'FORBIDDEN',
  });
  const { platform: other } = await openTestPlatform({ access: true });
  await expect(other.authenticate({ bearer })).rejects.toMatchObject(refusedFor('access.tokens'));
});
