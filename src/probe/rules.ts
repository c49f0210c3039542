/**
 * A condition and what to do when it holds. The advice is a function where it quotes the facts.
 *
 * Tables of rules have a layout of their own: a condition, then its advice, on one line or on two.
 */
export type Rule<F> = readonly [when: (facts: F) => boolean, advice: string | ((facts: F) => string)]

/** Returns the advice of the first rule whose condition holds, and `otherwise` if none does. */
export function firstAdvice<F, O>(rules: readonly Rule<F>[], facts: F, otherwise: O): string | O {
  const rule = rules.find(([when]) => when(facts))
  if (!rule) return otherwise
  const [, advice] = rule
  return typeof advice === 'string' ? advice : advice(facts)
}
