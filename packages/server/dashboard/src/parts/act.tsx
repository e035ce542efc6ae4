import { useSignal } from '@preact/signals';
import type { ComponentChildren, JSX } from 'preact';
import { useRef } from 'preact/hooks';
import { useAction } from '../api/resource.ts';
import { type Does, useLack } from '../api/rights.ts';
import './act.css';
import { Problem } from './basics.tsx';

/** Something that a person can do, once they have confirmed it. */
export interface ActProps {
  /** What the button says, such as `Abort`. */
  readonly name: string;
  /** The question of the dialog; the name when left out. */
  readonly title?: string;
  /** What comes of it, and whether it can be undone. */
  readonly consequence: ComponentChildren;
  readonly tone?: 'main' | 'danger';
  /** What is asked for besides, such as `Reason`; nothing when left out. */
  readonly ask?: string;
  /** It must not be empty. */
  readonly isNeeded?: boolean;
  /** Further fields. */
  readonly children?: ComponentChildren;
  /** What it calls: who may not is told what it takes. */
  readonly does?: Does;
  /** Why it cannot be done now: the button is disabled and says so. */
  readonly refused?: string | undefined;
  /** Does it; rejects with what is shown. */
  run(text: string): Promise<unknown>;
  /** Called once it was done. */
  done?(): void;
}

/** A button, and the dialog that asks for its confirmation and shows what went wrong. */
export function Act(props: ActProps): JSX.Element {
  const { name, title = name, consequence, tone, ask, isNeeded = false } = props;
  const lack = useLack(props.does);
  const refused = lack ?? props.refused;
  const dialog = useRef<HTMLDialogElement>(null);
  const text = useSignal('');
  const { busy, error, run } = useAction();
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault();
    const isDone = await run(() => props.run(text.value.trim()));
    if (!isDone) return;
    text.value = '';
    dialog.current?.close();
    props.done?.();
  };
  return (
    <>
      <button
        type="button"
        class={tone}
        disabled={refused !== undefined}
        title={refused}
        onClick={() => {
          error.value = undefined;
          dialog.current?.showModal();
        }}
      >
        {name}
      </button>
      <dialog ref={dialog} class="act" aria-label={title}>
        <form onSubmit={(event) => void submit(event)}>
          <h2>{title}</h2>
          <div class="consequence">{consequence}</div>
          {props.children}
          {ask !== undefined && (
            <label>
              {ask}
              {!isNeeded && <span class="faint"> (may be left out)</span>}
              <textarea
                rows={2}
                maxLength={2000}
                required={isNeeded}
                value={text.value}
                onInput={({ currentTarget }) => {
                  text.value = currentTarget.value;
                }}
              />
            </label>
          )}
          {error.value !== undefined && <Problem error={error.value} />}
          <div class="actions">
            <button type="button" onClick={() => dialog.current?.close()}>
              Leave it
            </button>
            <button type="submit" class={tone ?? 'main'} disabled={busy.value}>
              {busy.value ? 'Under way …' : name}
            </button>
          </div>
        </form>
      </dialog>
    </>
  );
}
