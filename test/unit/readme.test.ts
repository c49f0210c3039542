import { readFileSync } from 'node:fs'
import { expect, it } from 'vitest'

function read(path: string): string {
  return readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')
}

/** Returns the names of the fields of an interface. */
function fieldsOf(path: string, name: string): string[] {
  const [, body = ''] = new RegExp(`^export interface ${name}\\b[^{]*\\{\\n(.*?)^\\}`, 'ms').exec(read(path)) ?? []
  return [...body.matchAll(/^ {2}(\w+)\??:/gm)].map(([, field]) => String(field))
}

const options = [
  ...fieldsOf('src/upstream/resolve.ts', 'UpstreamOptions'),
  ...fieldsOf('src/terminal/settings.ts', 'ConnectTerminalOptions'),
]

it('README.md has one row for each option of connectTerminal', () => {
  const [, section = ''] = /^## Connect$(.*?)^## /ms.exec(read('README.md')) ?? []
  const rows = [...section.matchAll(/^\| `(\w+)`/gm)].map(([, option]) => option)
  expect(options.length).toBeGreaterThan(15)
  expect(rows).toHaveLength(options.length)
  expect(new Set(rows)).toEqual(new Set(options))
})

it('README.md has one row for each option of createTerminalGateway that connectTerminal does not have', () => {
  const [, section = ''] = /^## A page behind your server$(.*?)^## /ms.exec(read('README.md')) ?? []
  const rows = [...section.matchAll(/^\| `(\w+)`/gm)].map(([, option]) => option)
  expect(rows).toEqual(fieldsOf('src/gateway/options.ts', 'TerminalGatewayOptions'))
})

it.each(['timeout', 'settle', 'keepAlive'])('README.md and the docstring give the same default of %s', (option) => {
  const [, inTable] = new RegExp(`^\\| \`${option}\` +\\| ([\\d ]+) ms`, 'm').exec(read('README.md')) ?? []
  const source = read('src/terminal/settings.ts')
  const [, inTypes] =
    new RegExp(`Default: ([\\d ]+)\\.\\n   \\*/\\n  ${option}\\?|Default: ([\\d ]+)\\. \\*/\\n  ${option}\\?`).exec(
      source,
    ) ?? []
  expect(inTable).toBe(inTypes)
})

it('README.md has a heading for each link to one', () => {
  const readme = read('README.md')
  const anchors = [...readme.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    String(title)
      .toLowerCase()
      .replaceAll(/[^\w\s-]/g, '')
      .replaceAll(' ', '-'),
  )
  const links = [...readme.matchAll(/\]\(#([\w-]+)\)/g)].map(([, anchor]) => anchor)
  expect(links.filter((anchor) => !anchors.includes(String(anchor)))).toEqual([])
})
