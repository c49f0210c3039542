/** Returns for how many seconds random tests run, 0 for a fixed number of runs, and from which seed. */
export function randomness(name: 'MODEL' | 'SCREEN', fixedSeed: number): { seconds: number; seed: number } {
  const seconds = Number(process.env[`${name}_SECONDS`] ?? 0)
  const seed = Number(process.env[`${name}_SEED`] ?? (seconds > 0 ? Date.now() % 0x7fffffff : fixedSeed))
  return { seconds, seed }
}
