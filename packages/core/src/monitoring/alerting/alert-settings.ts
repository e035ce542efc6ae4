import { z } from 'zod';
import { checkOptions } from '../../check-options.ts';
import type { Change } from '../../contracts/metadata-store.ts';
import type { StoredRecord } from '../../contracts/record.ts';
import type { Scope } from '../../contracts/scope.ts';
import { isKeelsonError, KeelsonError } from '../../errors.ts';
import { asJson, assertText, type JsonObject } from '../../json.ts';
import { decideAndCommit } from '../../operations/decide-and-commit.ts';
import { columnIs, everyRecord } from '../../operations/every-record.ts';
import { type AlertSchedule, scheduleShape, schedulesShape } from './alert-schedule.ts';
import { type ByLevel, severities } from './levels.ts';
import { type Matchers, matchersShape } from './matchers.ts';

/** One step of an escalation: who is told, after how long without an answer. */
export interface EscalationStep {
  /** Since the step before, or since people were first told, in ms; 300,000 when left out. */
  readonly afterMs?: number;
  /** Names of notifiers. */
  readonly receivers: readonly string[];
  /** Outside of these hours the step waits for them. */
  readonly within?: AlertSchedule;
  /** The step is left out unless so many alerts of the group fire. */
  readonly ifMoreThan?: number;
  /** The step is left out for lesser alerts. */
  readonly from?: 'WARNING' | 'CRITICAL' | 'EMERGENCY';
}

/** Where alerts go, and when. */
export interface AlertRoute {
  readonly name: string;
  /** Which alerts come here by themselves; those of rules that name the route when left out. */
  readonly match?: Matchers;
  /** Names of notifiers; all that are told of alerts when left out. */
  readonly receivers?: readonly string[];
  /** Alerts that have these labels alike are told as one; `deployment` and `topic` when left out. */
  readonly groupBy?: readonly string[];
  /** What is new waits so long for more, in ms; 30,000 when left out. */
  readonly notifyWithinMs?: number;
  /** Further news of a group come at most so often, in ms; 300,000 when left out. Graver ones do not wait. */
  readonly updateEveryMs?: number;
  /** A group that goes on is told again so often, in ms; four hours when left out. */
  readonly remindEveryMs?: number;
  /** When people are told: of all alerts, or of single levels. Outside, it waits. */
  readonly schedule?: AlertSchedule | ByLevel<AlertSchedule>;
  /** Whether the end of an alert is told; true when left out. */
  readonly tellResolved?: boolean;
  /** Who is told when nobody answers, one after another. */
  readonly escalation?: readonly EscalationStep[];
  /** How often the chain begins again, 5 times at most; not at all when left out. */
  readonly repeatEscalation?: number;
}

/** While alerts of one sort fire, those of another are not told where both have the same labels. */
export interface Inhibition {
  readonly name: string;
  readonly source: Matchers;
  readonly target: Matchers;
  /** Labels that both must have alike; `deployment` when left out. */
  readonly equal?: readonly string[];
}

const name = z
  .string()
  .regex(
    /^[A-Za-z0-9._-]{1,100}$/,
    'must be 1 to 100 letters, digits, dots, dashes or underscores',
  );
const names = z.array(name).min(1).max(50);
const ms = z
  .number()
  .int()
  .min(0)
  .max(30 * 86_400_000);
const level = z.enum(severities as readonly ['WARNING', 'CRITICAL', 'EMERGENCY']);

const stepShape = z.strictObject({
  afterMs: ms.optional(),
  receivers: names,
  within: scheduleShape.optional(),
  ifMoreThan: z.number().int().min(0).optional(),
  from: level.optional(),
} satisfies Record<keyof EscalationStep, z.ZodType>);

const routeShape = z.strictObject({
  name,
  match: matchersShape.optional(),
  receivers: names.optional(),
  groupBy: z.array(z.string().min(1).max(100)).max(20).optional(),
  notifyWithinMs: ms.optional(),
  updateEveryMs: ms.optional(),
  remindEveryMs: ms.min(60_000).optional(),
  schedule: schedulesShape.optional(),
  tellResolved: z.boolean().optional(),
  escalation: z.array(stepShape).min(1).max(20).optional(),
  repeatEscalation: z.number().int().min(0).max(5).optional(),
} satisfies Record<keyof AlertRoute, z.ZodType>);

const inhibitionShape = z.strictObject({
  name,
  source: matchersShape,
  target: matchersShape,
  equal: z.array(z.string().min(1).max(100)).max(20).optional(),
} satisfies Record<keyof Inhibition, z.ZodType>);

/** Settings of one sort, by name, with the history of each. */
export interface Settings<T> {
  /** INVALID, naming what is wrong. */
  put(setting: T): Promise<T>;
  /** NOT_FOUND where there is none. */
  get(name: string): Promise<T>;
  /** By name. */
  list(): Promise<readonly T[]>;
  /** Nothing happens where there is none. */
  remove(name: string): Promise<void>;
}

type SettingsScope = Pick<Scope, 'metadata' | 'workspace' | 'principal' | 'ids'>;

/** The routes of a workspace. */
export function routeSettings(scope: SettingsScope): Settings<AlertRoute> {
  return settingsOf<AlertRoute>(scope, 'route', (route) =>
    checkOptions(routeShape, route, 'monitoring.alertRoutes.put'),
  );
}

/** The inhibitions of a workspace. */
export function inhibitionSettings(scope: SettingsScope): Settings<Inhibition> {
  return settingsOf<Inhibition>(scope, 'inhibition', (given) =>
    checkOptions(inhibitionShape, given, 'monitoring.inhibitions.put'),
  );
}

function settingsOf<T extends { readonly name: string }>(
  scope: SettingsScope,
  type: 'route' | 'inhibition',
  check: (given: T) => T,
): Settings<T> {
  const { metadata, workspace } = scope;

  async function find(wanted: string): Promise<StoredRecord | undefined> {
    assertText(wanted, `The name of ${type === 'route' ? 'a route' : 'an inhibition'}`, 100);
    const of = [columnIs('type', type), columnIs('name', wanted)];
    const query = { where: { op: 'and', of } as const, limit: 1 };
    return (await metadata.query(workspace, 'alert_setting', query)).records[0];
  }

  async function write(setting: T): Promise<void> {
    await decideAndCommit(scope, async () => {
      const found = await find(setting.name);
      const body = asJson(setting) as JsonObject;
      const columns = { type, name: setting.name };
      const change: Change =
        found === undefined
          ? { op: 'create', kind: 'alert_setting', id: scope.ids.next(), columns, body }
          : { op: 'replace', kind: 'alert_setting', id: found.id, expect: found.revision, body };
      return { changes: [change], result: undefined };
    });
  }

  const settings: Settings<T> = {
    async put(given) {
      const setting = check(given);
      try {
        await write(setting);
      } catch (error) {
        // Somebody else made it in between.
        if (!isKeelsonError(error, 'CONFLICT')) throw error;
        await write(setting);
      }
      return settings.get(setting.name);
    },
    async get(wanted) {
      const found = await find(wanted);
      if (found !== undefined) return found.body as unknown as T;
      throw new KeelsonError('NOT_FOUND', `There is no ${type} ${JSON.stringify(wanted)}.`);
    },
    async list() {
      const all: T[] = [];
      const query = { where: columnIs('type', type) };
      for await (const { body } of everyRecord(scope, 'alert_setting', query)) {
        all.push(body as unknown as T);
      }
      return all.sort((a, b) => (a.name < b.name ? -1 : 1));
    },
    async remove(wanted) {
      await decideAndCommit(scope, async () => {
        const found = await find(wanted);
        if (found === undefined) return { changes: [], result: undefined };
        const { id, revision: expect } = found;
        const changes = [{ op: 'remove', kind: 'alert_setting', id, expect } as const];
        return { changes, result: undefined };
      });
    },
  };
  return settings;
}
