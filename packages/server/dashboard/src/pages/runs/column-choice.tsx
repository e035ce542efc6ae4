import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useRef } from 'preact/hooks';
import { asList, setView, view, viewList } from '../../routing/address.ts';
import type { Column } from './columns.ts';

/** Which columns are shown, and which stand first. */
export function ColumnChoice({
  all,
  shown,
}: {
  readonly all: readonly Column[];
  readonly shown: readonly Column[];
}): JSX.Element {
  const dialog = useRef<HTMLDialogElement>(null);
  const wanted = useSignal('');
  const fields = shown.map(({ field }) => field);
  const pinned = viewList('pin');
  const found = all.filter(({ field }) => field.toLowerCase().includes(wanted.value.toLowerCase()));
  const choose = (field: string, isShown: boolean): void => {
    const next = isShown ? [...fields, field] : fields.filter((each) => each !== field);
    setView({ columns: asList(next) }, 'replace');
  };
  const pin = (field: string): void => {
    const next = pinned.includes(field)
      ? pinned.filter((each) => each !== field)
      : [...pinned, field];
    const more = fields.includes(field) ? {} : { columns: asList([...fields, field]) };
    setView({ pin: asList(next), ...more }, 'replace');
  };
  return (
    <>
      <button type="button" onClick={() => dialog.current?.showModal()}>
        Columns
      </button>
      <dialog ref={dialog} aria-label="Columns" class="columns">
        <div class="row">
          <input
            type="text"
            aria-label="Find a column"
            placeholder="Find a column"
            value={wanted.value}
            onInput={({ currentTarget }) => {
              wanted.value = currentTarget.value;
            }}
          />
        </div>
        <label class="row">
          <input
            type="checkbox"
            checked={view('same') === 'show'}
            onChange={({ currentTarget }) =>
              setView(
                { same: currentTarget.checked ? 'show' : undefined, columns: undefined },
                'replace',
              )
            }
          />
          Also those in which all runs are the same
        </label>
        <ul>
          {found.map(({ field }) => (
            <li key={field}>
              <label>
                <input
                  type="checkbox"
                  checked={fields.includes(field)}
                  onChange={({ currentTarget }) => choose(field, currentTarget.checked)}
                />
                {field}
              </label>
              <button
                type="button"
                class="plain"
                aria-pressed={pinned.includes(field)}
                aria-label={`First: ${field}`}
                onClick={() => pin(field)}
              >
                {pinned.includes(field) ? 'first ✓' : 'first'}
              </button>
            </li>
          ))}
        </ul>
        <div class="row">
          <button
            type="button"
            onClick={() =>
              setView({ columns: undefined, pin: undefined, same: undefined }, 'replace')
            }
          >
            As at first
          </button>
          <button type="button" class="main" onClick={() => dialog.current?.close()}>
            Done
          </button>
        </div>
      </dialog>
    </>
  );
}
