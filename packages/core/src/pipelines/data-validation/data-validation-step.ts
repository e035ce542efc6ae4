import { type JsonObject, storableText } from '../../json.ts';
import { renderPage } from '../../registry/page-document.ts';
import { StepArtifact } from '../step-artifact.ts';
import { StepError } from '../step-policy.ts';
import type { StepContext, StepFunction } from '../step-types.ts';
import {
  type DataProfile,
  DataProfiler,
  profileType,
  readProfile,
  withoutSamples,
} from './data-profile.ts';
import { checkDataValidation, type DataValidationOptions } from './data-validation-options.ts';
import { type DataFinding, percent, quoted, worstFirst } from './finding.ts';
import { driftFindings, profileDrift } from './profile-drift.ts';
import { checkRules } from './profile-rules.ts';
import { type DataReport, reportPage } from './report-page.ts';
import { RowCheck, type RowFailures } from './row-check.ts';
import { type ReadOptions, readRows } from './row-reader.ts';

/** Rows as a step gets them: a list, or an artifact of JSON lines, CSV with a head line, or a JSON array. */
export type DataRows = readonly object[] | StepArtifact;

/** What a data validation takes. */
export interface ValidatedData {
  readonly data: DataRows;
  /** What it is compared with: rows, or the `profile` of an earlier validation. */
  readonly baseline?: DataRows | DataProfile;
}

/** What a data validation answers. */
export interface DataValidation {
  readonly passed: boolean;
  readonly rows: number;
  readonly failedRows: number;
  /** Worst first, at most 20; all of them are in the report. */
  readonly findings: readonly { readonly kind: string; readonly detail: string }[];
  /** As JSON. */
  readonly report: StepArtifact;
  /** The same for people: HTML with plots. */
  readonly page: StepArtifact;
  /** To be the `baseline` of a later one. */
  readonly profile: StepArtifact;
}

/**
 * A step that validates rows: `p.step('validate', { data: loaded.pick('rows') }, dataValidationStep({ schema, rules,
 * baseline, drift }))`. Each row is held to the JSON Schema, the profile of all columns to the rules and, for drift,
 * to the baseline. Where something is found it fails with class `data`, naming the worst, and keeps the report
 * (`pipelines.artifacts`); with `onFailure: 'report'` it answers `passed: false`. Rows of artifacts are streamed. A
 * step with a `version` is cached: change that with the options. INVALID for options that are none.
 */
export function dataValidationStep<P = JsonObject>(
  options: DataValidationOptions = {},
): StepFunction<P, ValidatedData, DataValidation> {
  checkDataValidation(options);
  // A schema that is none is told of when the step is defined.
  new RowCheck(options.schema, 0);
  return async (context) => {
    const read: ReadOptions = {
      missing: options.missingTexts ?? [''],
      signal: context.signal,
      ...(options.schema === undefined ? {} : { schema: options.schema }),
      ...(options.format === undefined ? {} : { format: options.format }),
    };
    const baseline = await baselineOf(context.inputs.baseline ?? options.baseline, read);
    if (baseline === undefined && options.drift !== undefined) {
      throw new StepError(
        'permanent',
        `Step ${context.step} is to find drift and has no baseline.`,
      );
    }
    const check = new RowCheck(options.schema, options.examples ?? 20);
    const profile = await profileOf(context.inputs.data, 'The input "data"', read, check);
    const drift = baseline && profileDrift(baseline, profile, options.drift);
    const { failures } = check;
    const findings = worstFirst([
      ...failureFindings(failures, profile.rows, options.tolerated ?? 0),
      ...checkRules(options.rules ?? {}, profile),
      ...(drift === undefined || profile.rows === 0 ? [] : driftFindings(drift, options.drift)),
    ]);
    const report: DataReport = {
      ...{ passed: findings.length === 0, findings, profile, failures },
      ...(baseline === undefined ? {} : { baseline }),
      ...(drift === undefined ? {} : { drift }),
    };
    const kept = await keep(context, report);
    if (findings.length > 0 && options.onFailure !== 'report') {
      throw new StepError('data', messageOf(context.step, profile.rows, findings), {
        artifacts: Object.values(kept),
      });
    }
    return {
      passed: report.passed,
      rows: profile.rows,
      failedRows: failures.failedRows,
      findings: findings.slice(0, 20).map(({ kind, detail }) => ({ kind, detail })),
      ...kept,
    };
  };
}

async function baselineOf(
  given: DataRows | DataProfile | undefined,
  read: ReadOptions,
): Promise<DataProfile | undefined> {
  if (given === undefined) return undefined;
  const isRows = Array.isArray(given) || given instanceof StepArtifact;
  if (!isRows) return readProfile(given as DataProfile);
  if (given instanceof StepArtifact && given.mimeType === profileType) {
    return readProfile(await given.json());
  }
  const profile = await profileOf(given, 'The baseline', read);
  if (profile.rows > 0) return profile;
  throw new StepError('data', 'The baseline has no rows.');
}

async function profileOf(
  data: unknown,
  what: string,
  read: ReadOptions,
  check?: RowCheck,
): Promise<DataProfile> {
  const profiler = new DataProfiler();
  let number = 0;
  for await (const batch of readRows(data, what, read)) {
    for (const each of batch) {
      number += 1;
      if ('fault' in each) {
        profiler.add({});
        check?.unreadable(number, each.fault);
      } else {
        profiler.add(each.row);
        check?.check(number, each.row);
      }
    }
  }
  return profiler.profile();
}

function failureFindings(
  { failedRows, unreadableRows, counts }: RowFailures,
  rows: number,
  tolerated: number,
): readonly DataFinding[] {
  const share = rows === 0 ? 0 : failedRows / rows;
  if (share <= tolerated) return [];
  return counts.map(({ column, rule, count, message }): DataFinding => {
    const weight = 25 + 10 * (count / rows);
    const howMany = `${count} of ${rows} rows (${percent(count / rows)})`;
    if (rule === 'unreadable') {
      const detail = `${unreadableRows} of ${rows} rows are unreadable: ${message}`;
      return { kind: 'rows', detail, weight: weight + 1 };
    }
    const where = column === '' ? 'the row' : quoted(column);
    const detail = `${where} ${message} (${rule}) in ${howMany}`;
    return { kind: 'schema', ...(column === '' ? {} : { column }), detail, weight };
  });
}

async function keep(
  {
    outputs,
    run,
    step,
    executionId,
  }: Pick<StepContext, 'outputs' | 'run' | 'step' | 'executionId'>,
  report: DataReport,
): Promise<Pick<DataValidation, 'report' | 'page' | 'profile'>> {
  const { passed, findings, profile, failures, drift } = report;
  const found = { passed, findings, failures, profile: withoutSamples(profile) };
  const json = { ...found, ...(drift === undefined ? {} : { drift }) };
  const page = Buffer.from(renderPage(reportPage(`Data of ${step}`, report), 'html'));
  // Where people look: the page of the attempt's run.
  await run?.logArtifact('data-report.html', page, { mimeType: 'text/html' });
  run?.logMetrics({ rows: profile.rows, failed_rows: failures.failedRows });
  await run?.setTags({ 'data.passed': String(passed), 'data.execution': executionId });
  return {
    report: await outputs.json('data-report.json', json),
    page: await outputs.artifact('data-report.html', page, { mimeType: 'text/html' }),
    profile: await outputs.artifact('data-profile.json', encoded(profile), {
      mimeType: profileType,
    }),
  };
}

/** Samples have finite numbers and texts that any store can keep: this form is read back as it is. */
function encoded(profile: DataProfile): Uint8Array {
  return Buffer.from(JSON.stringify(profile));
}

function messageOf(step: string, rows: number, findings: readonly DataFinding[]): string {
  const worst = findings.slice(0, 5).map(({ detail }) => detail);
  const more = findings.length > worst.length ? `; ${findings.length - worst.length} more` : '';
  const said = `The data of step ${step}, ${rows} rows, did not pass: ${worst.join('; ')}${more}. See its artifact data-report.html.`;
  return storableText(said, 4000);
}
