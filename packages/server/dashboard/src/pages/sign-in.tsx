import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { sessionProblem, signIn } from '../api/session.ts';
import { Problem } from '../parts/basics.tsx';

/** Asks for a key or token, once. */
export function SignIn(): JSX.Element {
  const token = useSignal('');
  const submit = (event: Event): void => {
    event.preventDefault();
    void signIn(token.value);
  };
  return (
    <main class="sign-in">
      <h1>Keelson</h1>
      <form onSubmit={submit}>
        <label>
          API key or token
          <input
            type="password"
            autocomplete="current-password"
            required
            value={token.value}
            onInput={({ currentTarget }) => {
              token.value = currentTarget.value;
            }}
          />
        </label>
        <button type="submit" class="main">
          Sign in
        </button>
        {sessionProblem.value !== undefined && <Problem error={sessionProblem.value} />}
        <p class="faint">It is exchanged for a cookie of this site, which no script can read.</p>
      </form>
    </main>
  );
}
