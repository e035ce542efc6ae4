import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { Refusal } from '../../api/client.ts';

const words = ['AND', 'OR', 'NOT', 'BETWEEN', 'IN', 'LIKE', 'ILIKE', 'IS NULL', 'IS NOT NULL'];
const attributes = ['status', 'start_time', 'end_time', 'duration', 'run_name', 'user_id'].map(
  (each) => `attributes.${each}`,
);

/** The filter of runs: completes names, shows where a text goes wrong, applies on Enter. */
export function FilterBox({
  value,
  fields,
  error,
  apply,
}: {
  readonly value: string;
  readonly fields: readonly string[];
  readonly error: Refusal | undefined;
  readonly apply: (text: string) => void;
}): JSX.Element {
  const text = useSignal(value);
  const chosen = useSignal(-1);
  const open = useSignal(false);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    text.value = value;
  }, [value]);

  const caret = input.current?.selectionStart ?? text.value.length;
  const token = /[\w.`]*$/.exec(text.value.slice(0, caret))?.[0] ?? '';
  const offered = open.value && token !== '' ? offersFor(token, fields) : [];

  const take = (offer: string): void => {
    const before = text.value.slice(0, caret - token.length);
    text.value = `${before}${offer} ${text.value.slice(caret).trimStart()}`;
    open.value = false;
    const at = before.length + offer.length + 1;
    requestAnimationFrame(() => input.current?.setSelectionRange(at, at));
    input.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      if (offered.length === 0) return;
      event.preventDefault();
      const step = event.key === 'ArrowDown' ? 1 : -1;
      chosen.value = (chosen.value + step + offered.length) % offered.length;
    } else if (
      (event.key === 'Enter' || event.key === 'Tab') &&
      offered[chosen.value] !== undefined
    ) {
      event.preventDefault();
      take(offered[chosen.value] as string);
    } else if (event.key === 'Enter') {
      open.value = false;
      apply(text.value.trim());
    } else if (event.key === 'Escape') {
      if (open.value) event.preventDefault();
      open.value = false;
    }
  };
  const position = error?.code === 'SYNTAX' ? Number(error.details['position']) : Number.NaN;
  const isWrong = error !== undefined && (error.code === 'SYNTAX' || error.code === 'INVALID');

  return (
    <div class="filter">
      <input
        ref={input}
        type="search"
        list={undefined}
        role="combobox"
        aria-label="Filter"
        aria-expanded={offered.length > 0}
        aria-controls="filter-offers"
        aria-invalid={isWrong}
        aria-describedby={isWrong ? 'filter-problem' : undefined}
        aria-activedescendant={
          offered[chosen.value] === undefined ? undefined : `offer-${chosen.value}`
        }
        placeholder="metrics.loss < 0.3 AND params.depth = 6   (press / to come here)"
        spellcheck={false}
        autocomplete="off"
        value={text.value}
        onInput={({ currentTarget }) => {
          text.value = currentTarget.value;
          open.value = true;
          chosen.value = -1;
          if (currentTarget.value === '' && value !== '') apply('');
        }}
        onKeyDown={onKeyDown}
        onBlur={() => {
          open.value = false;
        }}
      />
      <ul id="filter-offers" role="listbox" aria-label="Names" hidden={offered.length === 0}>
        {offered.map((offer, i) => (
          <li
            key={offer}
            id={`offer-${i}`}
            role="option"
            aria-selected={i === chosen.value}
            onMouseDown={(event) => event.preventDefault()}
            onClick={() => take(offer)}
          >
            {offer}
          </li>
        ))}
      </ul>
      {isWrong && (
        <div id="filter-problem" class="filter-problem" role="alert">
          {Number.isFinite(position) && (
            <pre>
              {text.value.slice(0, position)}
              <mark>{text.value.slice(position, position + 1) || ' '}</mark>
              {text.value.slice(position + 1)}
            </pre>
          )}
          {error.message.split('\n')[0]}
        </div>
      )}
    </div>
  );
}

function offersFor(token: string, fields: readonly string[]): readonly string[] {
  const small = token.toLowerCase();
  const all = [...attributes, ...fields, ...words];
  const starts = all.filter((each) => each.toLowerCase().startsWith(small));
  const holds = all.filter((each) => !starts.includes(each) && each.toLowerCase().includes(small));
  const found = [...new Set([...starts, ...holds])].slice(0, 10);
  return found.length === 1 && found[0]?.toLowerCase() === small ? [] : found;
}
