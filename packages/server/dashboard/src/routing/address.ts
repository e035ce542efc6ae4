import { computed, type ReadonlySignal, signal } from '@preact/signals';

/** Where one is: the parts of the path behind `#`, and the state of the view. */
export interface Address {
  readonly path: readonly string[];
  readonly query: URLSearchParams;
}

const hash = signal(location.hash);
addEventListener('hashchange', () => {
  hash.value = location.hash;
});

/** The address that is shown. */
export const address: ReadonlySignal<Address> = computed(() => parse(hash.value));

/** A link within the dashboard: `to('runs', id)`, with what the view shows. */
export function to(
  ...parts: readonly (string | Readonly<Record<string, string | undefined>>)[]
): string {
  const path = parts.filter((each) => typeof each === 'string').map(encodeURIComponent);
  const query = new URLSearchParams();
  for (const part of parts) {
    if (typeof part === 'string') continue;
    for (const [key, value] of Object.entries(part)) if (value) query.set(key, value);
  }
  return `#/${path.join('/')}${query.size === 0 ? '' : `?${query}`}`;
}

/** Goes to a link of the dashboard. */
export function go(link: string): void {
  location.hash = link;
}

/** Changes the state of the view; undefined and '' leave it to its default. Keystrokes replace, choices can be gone back from. */
export function setView(
  changes: Readonly<Record<string, string | undefined>>,
  how: 'push' | 'replace' = 'push',
): void {
  const { path, query } = parse(location.hash);
  const next = new URLSearchParams(query);
  for (const [key, value] of Object.entries(changes)) {
    if (value === undefined || value === '') next.delete(key);
    else next.set(key, value);
  }
  const target = `#/${path.map(encodeURIComponent).join('/')}${next.size === 0 ? '' : `?${next}`}`;
  if (target === location.hash) return;
  if (how === 'push') {
    history.pushState(null, '', target);
  } else history.replaceState(null, '', target);
  hash.value = location.hash;
}

addEventListener('popstate', () => {
  hash.value = location.hash;
});

/** One value of the view's state. */
export function view(key: string, otherwise = ''): string {
  return address.value.query.get(key) ?? otherwise;
}

/** A value that is a list, such as columns. */
export function viewList(key: string, otherwise: readonly string[] = []): readonly string[] {
  const text = address.value.query.get(key);
  return text === null ? otherwise : text.split('~').filter((each) => each !== '');
}

/** A list as a value of the view's state. */
export function asList(values: readonly string[]): string {
  return values.join('~');
}

function parse(text: string): Address {
  const [path = '', query = ''] = text.replace(/^#\/?/, '').split(/\?(.*)/s);
  return {
    path: path
      .split('/')
      .filter((each) => each !== '')
      .map(decoded),
    query: new URLSearchParams(query),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
