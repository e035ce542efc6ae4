import { expect, test } from 'vitest';
import { registryHeader, registryOf } from './registry-auth.ts';

test('the registry of an image is the host before its first slash, or that of Docker', () => {
  const registries = [
    'python',
    'python:3.12',
    'team/trainer:1',
    'docker.io/library/python',
    'index.docker.io/team/trainer',
    'localhost/trainer',
    'localhost:5000/trainer',
    'ghcr.io/team/trainer@sha256:ab',
  ].map(registryOf);
  const hub = 'docker.io';
  expect(registries).toEqual([hub, hub, hub, hub, hub, 'localhost', 'localhost:5000', 'ghcr.io']);
});

test('credentials go to their registry alone; those of none go where there are no others', () => {
  const told = (image: string, auth: Parameters<typeof registryHeader>[1]) => {
    const header = registryHeader(image, auth);
    return header && JSON.parse(Buffer.from(header, 'base64url').toString());
  };
  const anna = { username: 'anna', password: 'a', serveraddress: 'https://ghcr.io' };
  const hub = { username: 'hub', password: 'h', serveraddress: 'https://index.docker.io/v1/' };
  const any = { username: 'any', password: 'x' };
  expect(told('ghcr.io/team/trainer', [any, hub, anna])).toEqual(anna);
  expect(told('python', [anna, hub])).toEqual(hub);
  expect(told('quay.io/team/trainer', [anna, hub])).toBeUndefined();
  expect(told('quay.io/team/trainer', any)).toEqual({ ...any, serveraddress: 'quay.io' });
  expect(told('quay.io/team/trainer', undefined)).toBeUndefined();
});

test('the header has its padding, without which engines take it for none', () => {
  for (const password of ['1', '12', '123', '~~??>>']) {
    const header = registryHeader('python', { username: 'anna', password }) ?? '';
    expect(header.length % 4).toBe(0);
    expect(header).toMatch(/^[\w-]+={0,2}$/);
  }
});
