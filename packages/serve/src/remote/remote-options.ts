import { type Json, KeelsonError, type RuntimeConfig } from '@keelson/core';

/** What a remote runtime takes in its `options`. */
export interface RemoteOptions {
  /** Calls at once; 16. */
  readonly concurrency: number;
  /** 64 MiB. */
  readonly maxAnswerBytes: number;
  /** Of one call, where it is to be shorter than what the request has left. */
  readonly timeoutMs: number | undefined;
  /** The version there, `{version}` standing for the one here; the server's choice when left out. */
  readonly version: string | undefined;
  /** Whether the server is asked to load the model first, and to unload it when nothing here uses it any more; false. */
  readonly load: boolean;
  readonly unload: boolean;
  /**
   * What closes an open breaker: a call with synthetic inputs that is answered well (`inference`, the default), or the
   * server's word that the model is ready (`health`), where inferences cost much or refuse zeros.
   */
  readonly probe: 'inference' | 'health';
  /** Of one probe; 2,000. */
  readonly probeTimeoutMs: number;
  /** The breaker opens after so many failures one after another; 5. */
  readonly breakerFailures: number;
  /** Or when half of so many last calls failed; 20. */
  readonly breakerWindow: number;
  /** From opening to the first probe; 500. Doubled for each that fails, up to `breakerMaxOpenMs`, 10,000. */
  readonly breakerOpenMs: number;
  readonly breakerMaxOpenMs: number;
  /** `v2`: whether tensors go as binary data; as the server's extensions say when left out. */
  readonly binary: boolean | undefined;
  /** `tensorflow-serving`: the signature's name there. */
  readonly signatureName: string | undefined;
  /** `mlflow`: how inputs are written; `dataframe_split` for tables, else `inputs`, when left out. */
  readonly format: 'dataframe_split' | 'inputs' | 'instances' | undefined;
  /** `torchserve`: the address of its management API; the archive that it loads. */
  readonly management: string | undefined;
  readonly archive: string | undefined;
}

const defaults: RemoteOptions = {
  concurrency: 16,
  maxAnswerBytes: 64 * 1024 * 1024,
  timeoutMs: undefined,
  version: undefined,
  load: false,
  unload: false,
  probe: 'inference',
  probeTimeoutMs: 2_000,
  breakerFailures: 5,
  breakerWindow: 20,
  breakerOpenMs: 500,
  breakerMaxOpenMs: 10_000,
  binary: undefined,
  signatureName: undefined,
  format: undefined,
  management: undefined,
  archive: undefined,
};

const words: Readonly<Record<string, readonly string[]>> = {
  probe: ['inference', 'health'],
  format: ['dataframe_split', 'inputs', 'instances'],
};
const flags: readonly string[] = ['load', 'unload', 'binary'];

/** Fills in the defaults. INVALID names an option that there is none of, or a value that it cannot have. */
export function resolveRemoteOptions({ name, options = {} }: RuntimeConfig): RemoteOptions {
  for (const [key, value] of Object.entries(options)) {
    if (!Object.hasOwn(defaults, key)) {
      throw new KeelsonError(
        'INVALID',
        `Runtime ${name} has no option "${key}"; there are ${Object.keys(defaults).join(', ')}.`,
      );
    }
    const expectation = expectationOf(key, value);
    if (expectation !== undefined) {
      throw new KeelsonError(
        'INVALID',
        `Option "${key}" of runtime ${name} must be ${expectation}, not ${JSON.stringify(value)}.`,
      );
    }
  }
  return { ...defaults, ...(options as Partial<RemoteOptions>) };
}

function expectationOf(key: string, value: Json): string | undefined {
  const list = words[key];
  if (list !== undefined)
    return list.includes(String(value)) ? undefined : `one of ${list.join(', ')}`;
  if (flags.includes(key)) return typeof value === 'boolean' ? undefined : 'true or false';
  if (key === 'timeoutMs' || typeof defaults[key as keyof RemoteOptions] === 'number') {
    return Number.isInteger(value) && (value as number) > 0 ? undefined : 'an integer from 1';
  }
  return typeof value === 'string' && value !== '' ? undefined : 'a text';
}
