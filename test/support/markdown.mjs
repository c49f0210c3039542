/** Returns the rows of the table between two marks in a document, without the ruler, as lists of cells. */
export function rowsBetween(document, mark) {
  const [, section = ''] = new RegExp(`<!-- ${mark} -->(.*)<!-- /${mark} -->`, 's').exec(document) ?? []
  return rowsOf(section)
}

/** Returns the rows of a table, without the ruler, as lists of cells. */
export function rowsOf(table) {
  const lines = table.split('\n').filter((line) => line.startsWith('|') && !/^[|\s:-]+$/.test(line))
  return lines.map((line) =>
    line
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.trim()),
  )
}
