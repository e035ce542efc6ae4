import { type AlertRule, figuresOf } from './alert-rule.ts';
import type { Watched } from './evaluator.ts';
import type { Figure, FigureSource } from './figure-source.ts';
import { judgeAlertRule, type Verdict } from './judge-rule.ts';

/** A rule with what it says. */
export interface RuleReading {
  readonly rule: AlertRule;
  /** One for each series of its figure; one that is blind where nothing can be said. */
  readonly verdicts: readonly Verdict[];
}

/** Reads the figures of a deployment's rules as of a time, each once, and judges the rules. A rule that fails fails alone. */
export async function readRules(
  source: FigureSource,
  deployment: Watched,
  rules: readonly AlertRule[],
  at: number,
): Promise<readonly RuleReading[]> {
  const windows = new Map<string, { from: number; to: number; names: Set<string> }>();
  const windowsOf = (rule: AlertRule): readonly string[] => {
    const { windowMs = 60_000, changeOverMs } = rule;
    const ends = changeOverMs === undefined ? [at] : [at, at - changeOverMs];
    return ends.map((to) => `${to - windowMs}-${to}`);
  };
  for (const rule of rules) {
    for (const key of windowsOf(rule)) {
      const [from = 0, to = 0] = key.split('-').map(Number);
      const window = windows.get(key) ?? { from, to, names: new Set() };
      for (const name of figuresOf(rule)) window.names.add(name);
      windows.set(key, window);
    }
  }
  const of = { deploymentId: deployment.id, deployment: deployment.name };
  const read = new Map<string, readonly Figure[] | undefined>();
  for (const [key, { from, to, names }] of windows) {
    try {
      read.set(key, await source.read({ ...of, names: [...names], from, to }));
    } catch {
      // One of them cannot be read: each rule asks for its own, and says what is wrong.
      read.set(key, undefined);
    }
  }
  const readings: RuleReading[] = [];
  for (const rule of rules) {
    try {
      const names = figuresOf(rule);
      const [now = [], before] = await Promise.all(
        windowsOf(rule).map(async (key) => {
          const all = read.get(key);
          if (all !== undefined) return all.filter(({ name }) => names.includes(name));
          const { from, to } = windows.get(key) as { from: number; to: number };
          return await source.read({ ...of, names, from, to });
        }),
      );
      const known = { now, meanings: source.figures, ...(before === undefined ? {} : { before }) };
      readings.push({ rule, verdicts: judgeAlertRule(rule, known) });
    } catch (error) {
      const summary = error instanceof Error ? error.message : String(error);
      readings.push({ rule, verdicts: [{ labels: {}, blind: 'ERROR', summary }] });
    }
  }
  return readings;
}
