export {
  countForRule,
  judgeRule,
  type KnownRow,
  type MonitorRule,
  type RuleCounts,
  type RuleReference,
  type RuleState,
  type RuleVerdict,
  replayRule,
  type StratumCut,
  stratumOf,
} from './rule.ts';
