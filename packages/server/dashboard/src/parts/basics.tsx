import { signal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import type { Refusal } from '../api/client.ts';
import type { Resource } from '../api/resource.ts';
import { showAgo, showExactly } from './format.ts';

const now = signal(Date.now());
setInterval(() => {
  if (!document.hidden) now.value = Date.now();
}, 5_000);

/** A moment, as how long ago; the exact one on hover. */
export function Ago({ at }: { readonly at: number | undefined }): JSX.Element {
  if (at === undefined) return <span class="faint">–</span>;
  return (
    <time dateTime={new Date(at).toISOString()} title={showExactly(at)}>
      {showAgo(at, now.value)}
    </time>
  );
}

type Tone = 'good' | 'bad' | 'warn' | 'busy' | 'quiet';

const tones: Readonly<Record<string, Tone>> = {
  COMPLETED: 'good',
  HEALTHY: 'good',
  READY: 'good',
  SERVING: 'good',
  PRODUCTION: 'good',
  SUCCEEDED: 'good',
  RESOLVED: 'good',
  APPROVED: 'good',
  ACTIVE: 'good',
  LIVE: 'good',
  FAILED: 'bad',
  UNHEALTHY: 'bad',
  REJECTED: 'bad',
  ROLLED_BACK: 'bad',
  FIRING: 'bad',
  CRITICAL: 'bad',
  LOST: 'bad',
  ABORTED: 'bad',
  KILLED: 'warn',
  DEGRADED: 'warn',
  CANCELLED: 'warn',
  PAUSED: 'warn',
  WARNING: 'warn',
  HIGH: 'warn',
  ACKNOWLEDGED: 'warn',
  WAITING: 'warn',
  REQUESTED: 'warn',
  STAGING: 'warn',
  RUNNING: 'busy',
  STARTING: 'busy',
  IN_PROGRESS: 'busy',
  DEPLOYING: 'busy',
  PENDING: 'busy',
  QUEUED: 'busy',
};
const marks: Readonly<Record<Tone, string>> = {
  good: '●',
  bad: '▲',
  warn: '◆',
  busy: '◐',
  quiet: '○',
};

/** How a state is marked, for drawings. */
export function markOf(state: string): { readonly tone: Tone; readonly mark: string } {
  const tone = tones[state.toUpperCase()] ?? 'quiet';
  return { tone, mark: marks[tone] };
}

/** A state as a word. */
export function wordOf(state: string): string {
  return state.toLowerCase().replaceAll('_', ' ');
}

/** A state by colour, mark and word, so that none of the three is needed alone. */
export function Status({ of, tone }: { readonly of: string; readonly tone?: Tone }): JSX.Element {
  const how = tone ?? tones[of.toUpperCase()] ?? 'quiet';
  return (
    <span class={`status ${how}`}>
      <span class="mark" aria-hidden="true">
        {marks[how]}
      </span>
      {wordOf(of)}
    </span>
  );
}

/** What went wrong, and what to do. */
export function Problem({
  error,
  retry,
}: {
  readonly error: Refusal;
  readonly retry?: () => void;
}): JSX.Element {
  return (
    <div class="problem" role="alert">
      <p>
        <b>{error.code}</b> {error.message}
      </p>
      {error.problems.length > 0 && (
        <ul>
          {error.problems.map(({ path, message }) => (
            <li key={path + message}>
              <code>{path}</code> {message}
            </li>
          ))}
        </ul>
      )}
      {retry !== undefined && (
        <button type="button" onClick={retry}>
          Try again
        </button>
      )}
    </div>
  );
}

/** Shows a resource: its last data with what is wrong above it, or that it is on its way. */
export function Shown<T>({
  of,
  children,
}: {
  readonly of: Resource<T>;
  readonly children: (data: T) => ComponentChildren;
}): JSX.Element {
  const { data, error, stale, reload } = of;
  return (
    <>
      {error !== undefined && <Problem error={error} retry={reload} />}
      {data === undefined && error === undefined && <p class="loading">Reading …</p>}
      {data !== undefined && <div class={stale ? 'stale' : undefined}>{children(data)}</div>}
    </>
  );
}

/** Nothing yet: what would be here, and the code that brings it. */
export function Empty({
  title,
  code,
  children,
}: {
  readonly title: string;
  readonly code?: string;
  readonly children?: ComponentChildren;
}): JSX.Element {
  return (
    <div class="empty">
      <h3>{title}</h3>
      {children}
      {code !== undefined && <Code text={code} />}
    </div>
  );
}

/** Code, to be copied. */
export function Code({ text }: { readonly text: string }): JSX.Element {
  const copied = signal(false);
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text);
    copied.value = true;
  };
  return (
    <div class="code">
      <pre tabIndex={0}>{text}</pre>
      <button type="button" onClick={() => void copy()}>
        {copied.value ? 'Copied' : 'Copy'}
      </button>
    </div>
  );
}

/** A block of a page with its heading. */
export function Section({
  title,
  id,
  actions,
  children,
}: {
  readonly title: ComponentChildren;
  readonly id?: string;
  readonly actions?: ComponentChildren;
  readonly children: ComponentChildren;
}): JSX.Element {
  return (
    <section class="section" id={id}>
      <header>
        <h2>{title}</h2>
        {actions !== undefined && <div class="actions">{actions}</div>}
      </header>
      {children}
    </section>
  );
}

/** Names with their values. */
export function Facts({
  of,
}: {
  readonly of: readonly (readonly [string, ComponentChildren] | undefined | false)[];
}): JSX.Element {
  return (
    <dl class="facts">
      {of.map((each) => {
        if (!each) return null;
        const [name, value] = each;
        return (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value ?? '–'}</dd>
          </div>
        );
      })}
    </dl>
  );
}

/** An id, shortened to what tells it apart; whole on hover. */
export function Id({ of }: { readonly of: string }): JSX.Element {
  return (
    <code class="id" title={of}>
      {of.length > 14 ? `…${of.slice(-8)}` : of}
    </code>
  );
}

/** A page's heading: where it is, what it is. */
export function Heading({
  above,
  title,
  beside,
  actions,
}: {
  readonly above?: readonly (readonly [text: string, href: string])[];
  readonly title: ComponentChildren;
  readonly beside?: ComponentChildren;
  readonly actions?: ComponentChildren;
}): JSX.Element {
  return (
    <header class="heading">
      {above !== undefined && (
        <nav aria-label="Where this is">
          {above.map(([text, href]) => (
            <a key={href} href={href}>
              {text}
            </a>
          ))}
        </nav>
      )}
      <div class="row">
        <h1>{title}</h1>
        {beside}
        {actions !== undefined && <div class="actions">{actions}</div>}
      </div>
    </header>
  );
}

/** What may be wider than its place: it scrolls, by the keyboard too. */
export function Scroll({
  children,
  class: name = '',
}: {
  readonly children: ComponentChildren;
  readonly class?: string;
}): JSX.Element {
  return (
    <div class={`scroll ${name}`} tabIndex={0}>
      {children}
    </div>
  );
}
