import type { Scope } from '../../contracts/scope.ts';
import { KeelsonError } from '../../errors.ts';
import { draftEvent } from '../../events/draft-event.ts';
import { asJson, assertText, decodeJson, encodeJson, type JsonObject } from '../../json.ts';
import { commitChanges } from '../../operations/decide-and-commit.ts';
import { is, readVersionById } from '../model-records.ts';
import { renderPage } from '../page-document.ts';
import { summaryFromRecord, type ValidationReport, type ValidationSummary } from './report.ts';
import { reportDocument } from './report-document.ts';

type ReadScope = Pick<Scope, 'metadata' | 'workspace' | 'artifacts'>;

/** Keeps a report: its content and its page first, then the record, the annotation and the event at once. */
export async function keepReport(
  scope: Scope,
  report: ValidationReport,
): Promise<ValidationReport> {
  const { id, modelId, versionId, suite, outcome, by, tests, ...facts } = report;
  const { sha256 } = await scope.artifacts.put(Buffer.from(encodeJson(report, 'report')));
  const html = renderPage(reportDocument(report), 'html');
  const page = await scope.artifacts.put(Buffer.from(html));
  const summaries = tests.map(({ name, test, outcome: each, detail }) => {
    return { name, test, outcome: each, detail };
  });
  const columns = { modelId, versionId, suite, outcome, sha256, createdBy: by };
  const body = { ...facts, tests: summaries, page: { sha256: page.sha256 } };
  await commitChanges(scope, [
    {
      ...{ op: 'create', kind: 'validation_report', id, columns },
      body: asJson(body, 'report') as JsonObject,
    },
    {
      ...{ op: 'merge', kind: 'model_version', id: versionId },
      set: { validations: { [suite]: outcome } },
    },
    {
      op: 'emit',
      event: draftEvent(scope, {
        type: 'model.validated',
        subject: `model:${report.model}`,
        source: 'registry',
        payload: {
          ...{ name: report.model, versionId, version: report.version },
          ...{ suite, outcome, reportId: id, sha256 },
          failed: tests.flatMap((each) => (each.outcome === 'FAILED' ? [each.name] : [])),
        },
      }),
    },
  ]);
  return report;
}

/** Newest first. */
export async function listReports(
  scope: ReadScope,
  versionId: string,
): Promise<readonly ValidationSummary[]> {
  await readVersionById(scope, versionId);
  const { records } = await scope.metadata.query(scope.workspace, 'validation_report', {
    where: is('versionId', versionId),
    orderBy: [
      { by: { from: 'column', name: 'createdAt' }, direction: 'desc' },
      { by: { from: 'column', name: 'id' }, direction: 'desc' },
    ],
    limit: 200,
  });
  return records.map(summaryFromRecord);
}

/** The whole report. */
export async function readReport(scope: ReadScope, id: string): Promise<ValidationReport> {
  assertText(id, 'The id of a validation report');
  const record = await scope.metadata.find(scope.workspace, 'validation_report', id);
  if (record === undefined) {
    throw new KeelsonError('NOT_FOUND', `There is no validation report ${id}.`);
  }
  const parts: Uint8Array[] = [];
  for await (const part of await scope.artifacts.open(record.columns['sha256'] as string)) {
    parts.push(Uint8Array.from(part));
  }
  return decodeJson(Buffer.concat(parts).toString('utf8')) as unknown as ValidationReport;
}
