/** Counts the calls of `JSON.parse` while `act` runs. */
export async function countJsonParses(act: () => Promise<void>): Promise<number> {
  const { parse } = JSON
  let count = 0
  JSON.parse = (...given: Parameters<typeof parse>): unknown => {
    count += 1
    return parse(...given)
  }
  try {
    await act()
  } finally {
    JSON.parse = parse
  }
  return count
}
