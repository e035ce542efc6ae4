import { useSignal } from '@preact/signals';
import type { FunctionComponent, JSX } from 'preact';
import { useEffect } from 'preact/hooks';
import { liveness } from './api/live.ts';
import { beginSession, isSignedIn, session, signOut } from './api/session.ts';
import { pages } from './pages/pages.ts';
import { SignIn } from './pages/sign-in.tsx';
import { address, to } from './routing/address.ts';

const links = [
  ['', 'Overview', 'o'],
  ['runs', 'Runs', 'r'],
  ['models', 'Models', 'm'],
  ['pipelines', 'Pipelines', 'p'],
  ['deployments', 'Deployments', 'd'],
  ['monitoring', 'Monitoring', 'n'],
  ['events', 'Events', 'e'],
  ['system', 'System', 's'],
] as const;

/** The whole dashboard. */
export function App(): JSX.Element {
  useEffect(() => {
    void beginSession();
    return shortcuts();
  }, []);
  if (session.value === 'asking') return <p class="loading whole">Reading …</p>;
  if (session.value === 'outside') return <SignIn />;
  return (
    <>
      <a class="skip" href="#main" onClick={toMain}>
        To the content
      </a>
      <Navigation />
      <main id="main" tabIndex={-1}>
        <Page />
      </main>
    </>
  );
}

function Navigation(): JSX.Element {
  const [here = ''] = address.value.path;
  return (
    <nav class="side" aria-label="Parts">
      <a class="brand" href={to()}>
        <svg viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
          <rect width="32" height="32" rx="7" fill="#0b6e6e" />
          <path
            d="M9 6v20M9 19 22 6M14 14l9 12"
            fill="none"
            stroke="#fff"
            stroke-width="3.4"
            stroke-linecap="round"
          />
        </svg>
        Keelson
      </a>
      <ul>
        {links.map(([path, text, key]) => (
          <li key={path}>
            <a
              href={to(...(path === '' ? [] : [path]))}
              aria-current={here === path ? 'page' : undefined}
              title={`g ${key}`}
            >
              {text}
            </a>
          </li>
        ))}
      </ul>
      <div class="foot">
        <Liveness />
        <Theme />
        {isSignedIn() && (
          <button type="button" class="plain" onClick={() => void signOut()}>
            Sign out
          </button>
        )}
      </div>
    </nav>
  );
}

const livenessWords = {
  connecting: ['Connecting', 'Changes are not told yet'],
  live: ['Live', 'Changes are shown as they happen'],
  cut: ['Cut off', 'The server does not tell of changes; it is tried again'],
  off: ['Every 10 s', 'You may not read events (event.read), so pages are read again every 10 s'],
} as const;

function Liveness(): JSX.Element {
  const [word, meaning] = livenessWords[liveness.value];
  return (
    <span class={`liveness ${liveness.value}`} role="status" title={meaning}>
      {word}
    </span>
  );
}

const themes = ['system', 'light', 'dark'] as const;

function Theme(): JSX.Element {
  const theme = useSignal(localStorage.getItem('keelson.theme') ?? 'system');
  useEffect(() => {
    document.documentElement.dataset['theme'] = theme.value;
    localStorage.setItem('keelson.theme', theme.value);
  }, [theme.value]);
  return (
    <label class="theme">
      <span class="hidden">Colours</span>
      <select
        value={theme.value}
        onChange={({ currentTarget }) => (theme.value = currentTarget.value)}
      >
        {themes.map((each) => (
          <option key={each} value={each}>
            {each}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The page of the address, loaded when it is first looked at. */
function Page(): JSX.Element {
  const [name = ''] = address.value.path;
  const shown = useSignal<{ readonly name: string; readonly view: FunctionComponent } | undefined>(
    undefined,
  );
  const failed = useSignal(false);
  useEffect(() => {
    let gone = false;
    failed.value = false;
    const load = pages[name] ?? pages['missing'];
    load?.()
      .then((view) => {
        if (!gone) shown.value = { name, view };
      })
      .catch(() => {
        failed.value = true;
      });
    return () => {
      gone = true;
    };
  }, [name]);
  if (failed.value) {
    return (
      <p class="problem" role="alert">
        This page could not be loaded: the server has been updated or does not answer.{' '}
        <button type="button" onClick={() => location.reload()}>
          Load again
        </button>
      </p>
    );
  }
  // The page that is left must not take the next one's address for its own.
  if (shown.value?.name !== name) return <p class="loading">Reading …</p>;
  const View = shown.value.view;
  return <View key={shown.value.name} />;
}

function toMain(event: Event): void {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

/** `g` and a letter goes to a part; `/` goes to the filter. */
function shortcuts(): () => void {
  let isGoing = false;
  const onKey = (event: KeyboardEvent): void => {
    const { target, key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (
      target instanceof HTMLElement &&
      target.matches('input, textarea, select, [contenteditable]')
    )
      return;
    if (isGoing) {
      isGoing = false;
      const link = links.find(([, , letter]) => letter === key);
      if (link !== undefined) location.hash = to(...(link[0] === '' ? [] : [link[0]]));
      return;
    }
    if (key === 'g') isGoing = true;
    const search = document.querySelector<HTMLInputElement>('input[type=search]');
    if (key === '/' && search !== null) {
      event.preventDefault();
      search.focus();
    }
  };
  addEventListener('keydown', onKey);
  return () => removeEventListener('keydown', onKey);
}
