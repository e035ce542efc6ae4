import { z } from 'zod';

/** The labels by which alerts are told apart, grouped, routed and silenced. */
export type Labels = Readonly<Record<string, string>>;

/**
 * Which alerts are meant: for each label its value, or several of which it must have one, or `{ not }` of these. All must
 * hold. A label that is missing has the value ''.
 */
export type Matchers = Readonly<
  Record<string, string | readonly string[] | { readonly not: string | readonly string[] }>
>;

const value = z.union([z.string().max(500), z.array(z.string().max(500)).min(1).max(100)]);

/** How matchers are checked: at least one, so that nothing matches everything by a slip. */
export const matchersShape: z.ZodType<Matchers> = z
  .record(
    z.string().regex(/^[A-Za-z_][\w.-]{0,99}$/, 'labels are letters, digits, _ . and -'),
    z.union([value, z.strictObject({ not: value })]),
  )
  .refine((all) => Object.keys(all).length > 0, 'need at least one label to match');

/** Whether labels are among those that are meant. */
export function matches(matchers: Matchers, labels: Labels): boolean {
  return Object.entries(matchers).every(([name, wanted]) => {
    const is = Object.hasOwn(labels, name) ? (labels[name] as string) : '';
    if (typeof wanted === 'object' && 'not' in wanted) return ![wanted.not].flat().includes(is);
    return [wanted].flat().includes(is);
  });
}

/** In words: `deployment="fraud"`, `severity="WARNING|CRITICAL"`, `team!="payments"`. */
export function matcherTexts(matchers: Matchers): readonly string[] {
  return Object.entries(matchers).map(([name, wanted]) => {
    const isNot = typeof wanted === 'object' && 'not' in wanted;
    const values = [isNot ? (wanted as { not: string | readonly string[] }).not : wanted].flat();
    return `${name}${isNot ? '!=' : '='}${JSON.stringify(values.join('|'))}`;
  });
}
