/** Removes the slashes at the end of a path. A regular expression would take seconds for a path of 80 000 slashes. */
export function trimSlashes(path: string): string {
  let end = path.length
  while (path[end - 1] === '/') end -= 1
  return path.slice(0, end)
}
