import type { Scope } from '../../contracts/scope.ts';
import { assertFormat } from '../cards/cards.ts';
import { type PageFormat, renderPage } from '../page-document.ts';
import type { ValidationReport, ValidationSummary } from './report.ts';
import { reportDocument } from './report-document.ts';
import { listReports, readReport } from './reports.ts';
import { createSuites, type Suites } from './suites.ts';
import { type Download, validateVersion } from './validate.ts';
import type { ValidateOptions } from './validate-options.ts';

/** Suites, and what they found. */
export interface Validations extends Suites {
  /**
   * Runs a suite of the model on a version: downloads its files into a temporary directory, loads them by the
   * runtime, and keeps a report, which is also answered. A model that hangs, throws or answers wrongly has failed
   * tests, and no more. INVALID, before anything is run, for what the suite needs and is not handed over; ABORTED
   * by its signal, without a report.
   */
  validate(id: string, suite: string, options: ValidateOptions): Promise<ValidationReport>;
  /** The whole report. */
  getValidation(id: string): Promise<ValidationReport>;
  /** Of a version, newest first; the newest 200. */
  listValidations(versionId: string): Promise<readonly ValidationSummary[]>;
  /** A report with its plots; HTML is self-contained. */
  validationPage(id: string, format: PageFormat): Promise<string>;
}

/** Validations, bound to a scope. */
export function createValidations(scope: Scope, download: Download): Validations {
  return {
    ...createSuites(scope),
    validate: (id, suite, options) => validateVersion(scope, download, id, suite, options),
    getValidation: (id) => readReport(scope, id),
    listValidations: (versionId) => listReports(scope, versionId),
    async validationPage(id, format) {
      assertFormat(format);
      return renderPage(reportDocument(await readReport(scope, id)), format);
    },
  };
}
