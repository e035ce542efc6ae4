/** What is wrong with one thing. */
export interface AuditProblem {
  /** What it is: a link of a subject's chain, of the workspace's chain, an event, or a record. */
  readonly what: 'entry' | 'seal' | 'event' | 'record';
  /** Whose chain, where it is an entry or what one attests; whom an event is of. */
  readonly subject?: string;
  /** Of the entry, or of the entry that attests it. */
  readonly sequence?: number;
  /** Of the seal, or of the seal that attests it. */
  readonly seal?: number;
  /** The id of the event. */
  readonly event?: string;
  /** What differs, in words that name the thing. */
  readonly problem: string;
}

/** How far a verification has come. */
export interface AuditProgress {
  readonly seals: number;
  readonly events: number;
  readonly entries: number;
}

/** What a verification looked at, and what it found. */
export interface AuditReport extends AuditProgress {
  /** Whether everything is as it was written. */
  readonly intact: boolean;
  /** The first thing that is wrong, in the order seals and events, then chains; missing where all is well. */
  readonly broken?: AuditProblem;
  /** The first hundred. */
  readonly problems: readonly AuditProblem[];
  /** How many there are. */
  readonly problemCount: number;
  readonly subjects: number;
  /** Sealed events that lie in archives. */
  readonly archivedEvents: number;
  /** Things attested whose content was erased by somebody who was allowed to; `erasures` tells who. */
  readonly erased: number;
  /**
   * Entries that were made elsewhere and came with an import: they are as they came, and what they attest
   * is. Whether they came as they were made, the seals of the other store say.
   */
  readonly imported: number;
  /** Subjects of which an import has not brought everything yet; what their entries attest was not looked at. */
  readonly coming: readonly string[];
  /** What no seal covers yet: whoever can write the store could cut it off unseen. */
  readonly unsealed: { readonly entries: number; readonly events: number };
  /** The last seal: keep it elsewhere, and hand it to `verify` as `anchor`. */
  readonly lastSeal?: { readonly number: number; readonly digest: string };
}

const kept = 100;

/** Collects what a verification finds. */
export class Findings {
  seals = 0;
  events = 0;
  entries = 0;
  subjects = 0;
  archivedEvents = 0;
  unsealedEntries = 0;
  unsealedEvents = 0;
  erased = 0;
  imported = 0;
  readonly coming: string[] = [];
  #count = 0;
  readonly #problems: AuditProblem[] = [];
  readonly #consequences: AuditProblem[] = [];
  readonly #told: (progress: AuditProgress) => void;

  constructor(told: (progress: AuditProgress) => void) {
    this.#told = told;
  }

  add(problem: AuditProblem): void {
    this.#count += 1;
    if (this.#problems.length < kept) this.#problems.push(problem);
  }

  /** What may follow from something else that is wrong, and stands behind that. */
  addConsequence(problem: AuditProblem): void {
    this.#count += 1;
    if (this.#consequences.length < kept) this.#consequences.push(problem);
  }

  tell(): void {
    const { seals, events, entries } = this;
    this.#told({ seals, events, entries });
  }

  report(lastSeal: AuditReport['lastSeal']): AuditReport {
    const { seals, events, entries, subjects, archivedEvents, erased, imported, coming } = this;
    const problems = [...this.#problems, ...this.#consequences].slice(0, kept);
    const [broken] = problems;
    return {
      intact: this.#count === 0,
      ...(broken === undefined ? {} : { broken }),
      problems,
      problemCount: this.#count,
      ...{ seals, events, entries, subjects, archivedEvents, erased, imported, coming },
      unsealed: { entries: this.unsealedEntries, events: this.unsealedEvents },
      ...(lastSeal === undefined ? {} : { lastSeal }),
    };
  }
}
