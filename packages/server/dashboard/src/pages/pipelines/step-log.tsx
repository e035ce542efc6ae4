import { useSignal } from '@preact/signals';
import type { JSX } from 'preact';
import { useEffect, useRef } from 'preact/hooks';
import type { WireLog } from '../../api/answers.ts';
import { Refusal } from '../../api/client.ts';
import { followRow } from '../../api/messages.ts';
import { Problem } from '../../parts/basics.tsx';
import { showExactly } from '../../parts/format.ts';

const mostChunks = 5_000;

interface State {
  readonly how: 'reading' | 'ended' | 'none' | 'failed';
  readonly chunks: readonly WireLog[];
  readonly cut: number;
  readonly error?: Refusal;
}

const nothing: State = { how: 'reading', chunks: [], cut: 0 };

/** What an attempt of a step has written; it follows while the attempt runs. */
export function StepLog({
  pipeline,
  executionId,
  step,
  attempt,
  item,
}: {
  readonly pipeline: string;
  readonly executionId: string;
  readonly step: string;
  readonly attempt: number;
  readonly item?: number | undefined;
}): JSX.Element {
  const state = useSignal<State>(nothing);
  const again = useSignal(0);
  const box = useRef<HTMLPreElement>(null);
  const isAtEnd = useRef(true);
  const key = `${executionId} ${step} ${attempt} ${item ?? ''} ${again.value}`;

  useEffect(() => {
    const controller = new AbortController();
    state.value = nothing;
    isAtEnd.current = true;
    const input = {
      ...{ pipeline, executionId, step, follow: true },
      ...(attempt > 0 ? { attempt } : {}),
      ...(item === undefined ? {} : { item }),
    };
    void readInto(state, input, controller.signal);
    return () => controller.abort();
  }, [key]);

  useEffect(() => {
    const element = box.current;
    if (element !== null && isAtEnd.current) element.scrollTop = element.scrollHeight;
  }, [state.value]);

  const { how, chunks, cut, error } = state.value;
  return (
    <>
      {error !== undefined && (
        <Problem
          error={error}
          retry={() => {
            again.value += 1;
          }}
        />
      )}
      {how === 'none' && <p class="faint">This attempt has written nothing.</p>}
      {cut > 0 && <p class="faint">The first {cut} pieces are left out here.</p>}
      {(chunks.length > 0 || how === 'reading') && (
        <pre
          ref={box}
          class="step-log"
          role="log"
          aria-live="off"
          tabIndex={0}
          aria-label={`Log of ${step}`}
          onScroll={({ currentTarget }) => {
            const { scrollTop, clientHeight, scrollHeight } = currentTarget;
            isAtEnd.current = scrollTop + clientHeight > scrollHeight - 30;
          }}
        >
          {chunks.map(({ stream, at, text }, i) => (
            <span key={cut + i} class={stream} title={showExactly(at)}>
              {readable(text)}
            </span>
          ))}
        </pre>
      )}
      <p class="faint" role="status">
        {how === 'reading' && 'It goes on; new lines come by themselves.'}
        {how === 'ended' && 'It has ended; this is all of it.'}
      </p>
    </>
  );
}

async function readInto(
  state: { value: State },
  input: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<void> {
  let waiting: WireLog[] = [];
  // Many pieces at once are one change of the page.
  const show = (): void => {
    if (waiting.length === 0 || signal.aborted) return;
    const all = [...state.value.chunks, ...waiting];
    waiting = [];
    const cut = Math.max(0, all.length - mostChunks);
    state.value = { ...state.value, chunks: all.slice(cut), cut: state.value.cut + cut };
  };
  const timer = setInterval(show, 100);
  try {
    for await (const chunk of followRow<WireLog>('executions.logs', input, signal)) {
      waiting.push(chunk);
    }
    show();
    if (signal.aborted) return;
    state.value = { ...state.value, how: state.value.chunks.length === 0 ? 'none' : 'ended' };
  } catch (error) {
    show();
    if (signal.aborted) return;
    const refusal = error instanceof Refusal ? error : new Refusal(0, 'UNAVAILABLE', cutOff);
    // A step without a log is no fault.
    state.value =
      refusal.code === 'NOT_FOUND'
        ? { ...state.value, how: 'none' }
        : { ...state.value, how: 'failed', error: refusal };
  } finally {
    clearInterval(timer);
  }
}

const cutOff = 'The log was cut off before its end: the server does not answer.';

/** Lines of a structured log as level, message and fields; others as they are. */
function readable(text: string): string {
  const lines = text.replace(/\n$/, '').split('\n').map(readableLine);
  return `${lines.join('\n')}\n`;
}

function readableLine(line: string): string {
  if (!line.startsWith('{"level":')) return line;
  try {
    const { level, message, ...fields } = JSON.parse(line) as Readonly<Record<string, unknown>>;
    const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
    return `${String(level).padEnd(5)} ${String(message)}${rest.join('')}`;
  } catch {
    // A line that was cut.
    return line;
  }
}
