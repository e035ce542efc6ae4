import { signal } from '@preact/signals';
import { api, apiUrl, Refusal } from './client.ts';

/** Who looks: unknown until it was asked; `outside` when nobody is signed in and somebody must be. */
export const session = signal<'asking' | 'inside' | 'outside'>('asking');
/** Why one is outside, or could not come in. */
export const sessionProblem = signal<Refusal | undefined>(undefined);

const mark = 'keelson.signedIn';

/** Finds out whether this page may ask at all. */
export async function beginSession(): Promise<void> {
  try {
    await api.experiments.list({ limit: 1 });
    session.value = 'inside';
  } catch (error) {
    const isOutside = error instanceof Refusal && error.status === 401;
    session.value = isOutside ? 'outside' : 'inside';
  }
}

/** Exchanges a key or token for a cookie that this page never sees. */
export async function signIn(token: string): Promise<void> {
  sessionProblem.value = undefined;
  const response = await fetch(`${apiUrl.replace(/api\/v1$/, '')}ui/session`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token.trim()}` },
    credentials: 'same-origin',
  });
  if (response.ok) {
    localStorage.setItem(mark, 'yes');
    location.reload();
    return;
  }
  sessionProblem.value = new Refusal(
    response.status,
    'UNAUTHENTICATED',
    'This key or token is not known, has expired or was taken back. `keelson` and your administrator can make another.',
  );
}

/** Gives the cookie back. */
export async function signOut(): Promise<void> {
  await fetch(`${apiUrl.replace(/api\/v1$/, '')}ui/session`, {
    method: 'DELETE',
    credentials: 'same-origin',
  });
  localStorage.removeItem(mark);
  location.reload();
}

/** Whether this browser was given a cookie that can be given back. */
export function isSignedIn(): boolean {
  return localStorage.getItem(mark) !== null;
}
