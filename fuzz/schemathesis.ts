import { execFile } from 'node:child_process';
import { dirname } from 'node:path';

/** What schemathesis found. */
export interface Asked {
  /** What must not be, in its words; empty where all held. */
  readonly faults: readonly string[];
  /** All that it printed. */
  readonly output: string;
}

/** An answer may take so long. */
const slowestAnswerSeconds = 20;

const checks = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
  'unsupported_method',
];

/**
 * Has schemathesis ask a server by an OpenAPI document: its examples, each parameter at its bounds and beyond, random
 * requests that fit and such as do not, sequences. The same seed asks the same. Rejects where it cannot run.
 */
export function askByDocument(
  python: string,
  options: {
    /** The path of the document. */
    readonly document: string;
    readonly url: string;
    readonly seed: number;
    readonly durationMs: number;
    /** Part of the paths that are asked; all when left out. */
    readonly only?: string;
  },
): Promise<Asked> {
  const { document, url, seed, durationMs, only } = options;
  // One worker: Python 3.11's parser, which hypothesis calls, fails beside another thread.
  const args = [
    ...['run', document, '--url', url, '--checks', checks.join()],
    ...['--max-time', String(Math.ceil(durationMs / 1000)), '--seed', String(seed)],
    ...['--request-timeout', String(slowestAnswerSeconds), '--workers', '1'],
    ...['--continue-on-failure', '--no-shrink', '--no-color', '--warnings', 'off'],
    ...['--suppress-health-check', 'all', '--generation-database', 'none'],
    ...(only === undefined ? [] : ['--include-path-regex', only]),
  ];
  const { promise, resolve, reject } = Promise.withResolvers<Asked>();
  const how = {
    // It leaves files where it runs.
    cwd: dirname(document),
    timeout: 2 * durationMs + 120_000,
    maxBuffer: 2 ** 28,
    env: { ...process.env, NO_PROXY: '127.0.0.1', PYTHONDONTWRITEBYTECODE: '1' },
  };
  const command = ['-c', 'from schemathesis.cli import schemathesis; schemathesis()', ...args];
  execFile(python, command, how, (error, output, stderr) => {
    const code = error === null ? 0 : error.code;
    // 1 says that there are failures, which the output names.
    if (code === 0 || code === 1) resolve({ faults: faultsOf(output, code), output });
    else reject(new Error(`schemathesis ended with ${code}:\n${output}\n${stderr}`));
  });
  return promise;
}

function faultsOf(output: string, code: number): readonly string[] {
  const at = /^=+ (?:FAILURES|ERRORS) =+$/m.exec(output)?.index;
  if (at === undefined) return code === 0 ? [] : [output];
  const end = /^=+ SUMMARY =+$/m.exec(output)?.index ?? output.length;
  const [, ...sections] = output.slice(at, end).split(/^_{3,} (?=\S)/m);
  return sections.map((section) => section.trim());
}
