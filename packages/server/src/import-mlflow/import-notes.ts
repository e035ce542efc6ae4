/** Something that was left out, and why. */
export interface ImportSkip {
  /** By name: `run 3f… of experiment first`, `artifact model/../../x of run 3f…`. */
  readonly what: string;
  readonly why: string;
}

/** How many of everything. */
export interface ImportCounts {
  experiments: number;
  runs: number;
  params: number;
  points: number;
  artifacts: number;
  artifactBytes: number;
  datasets: number;
  loggedModels: number;
  models: number;
  versions: number;
  aliases: number;
}

const longestList = 1_000;

/** None of anything. */
function noCounts(): ImportCounts {
  return {
    ...{ experiments: 0, runs: 0, params: 0, points: 0, artifacts: 0, artifactBytes: 0 },
    ...{ datasets: 0, loggedModels: 0, models: 0, versions: 0, aliases: 0 },
  };
}

/** What an import has done, as it goes. */
export class ImportNotes {
  readonly added: ImportCounts = noCounts();
  /** What was here already, from an earlier import. */
  readonly there: ImportCounts = noCounts();
  readonly skipped: ImportSkip[] = [];
  skippedCount = 0;

  /** Something is left out. */
  skip(what: string, why: string): void {
    this.skippedCount += 1;
    if (this.skipped.length < longestList) this.skipped.push({ what, why });
  }
}
