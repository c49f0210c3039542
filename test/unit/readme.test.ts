import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { run } from '../support/host.ts'
import { rowsOf } from '../support/pages.ts'

const root = new URL('../../src/', import.meta.url)
const source = readdirSync(root, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => readFileSync(new URL(path, root), 'utf8'))
  .join('\n')

/** Returns the fields of an interface of `src`, each with what its comment says is the default. */
function fieldsOf(name: string): Map<string, string> {
  const [, body = ''] = new RegExp(`^export interface ${name}\\b[^{]*\\{\\n(.*?)^\\}`, 'ms').exec(source) ?? []
  const fields = [...body.matchAll(/^ {2}\/\*\*((?:(?!\*\/).)*)\*\/\n {2}(?:readonly )?(\w+)(\??)[:(]/gms)]
  return new Map(
    fields.map(([, comment = '', field = '', optional]) => {
      const [, value = ''] = /@defaultValue (.*?)\s*$/s.exec(comment) ?? []
      return [field, optional ? value.replaceAll(/\n +\* /g, ' ') : '–']
    }),
  )
}

/** The tables of options, each with the interfaces that declare them. */
const TABLES: ReadonlyArray<readonly [page: string, ...interfaces: string[]]> = [
  ['src/terminal/README.md', 'UpstreamOptions', 'ConnectTerminalOptions'],
  ['src/command/README.md', 'CommandOptions'],
  ['src/gateway/README.md', 'TerminalGatewayOptions'],
  ['src/proxy/README.md', 'AuthorizeOptions'],
  ['src/testing/README.md', 'TestUpstreamOptions'],
  ['src/probe/README.md', 'ProbeOptions'],
  ['src/xterm/README.md', 'UpstreamAddonOptions'],
]

describe.each(TABLES)('the table of options in %s', (page, ...interfaces) => {
  const declared = new Map(interfaces.flatMap((name) => [...fieldsOf(name)]))
  const rows = rowsOf(page, 'Options').filter(([name = '']) => name.startsWith('`'))

  it('has a row for each option, and no other', () => {
    expect(declared.size).toBeGreaterThan(0)
    const names = rows.map(([name = '']) => name.replaceAll('`', ''))
    expect([...names].sort()).toEqual([...declared.keys()].sort())
  })

  it('has the default that the declaration has', () => {
    const shown = rows.map(([name = '', value]) => [name.replaceAll('`', ''), value])
    expect(Object.fromEntries(shown)).toEqual(Object.fromEntries(declared))
  })
})

it('the gateway page names the options of connectTerminal that a gateway takes', () => {
  const [, list = ''] = /Pick<\s*ConnectTerminalOptions,\s*('size'[^>]*)>/.exec(source) ?? []
  const names = [...list.matchAll(/'(\w+)'/g)].map(([, name]) => `\`${name}\``)
  expect(names.length).toBeGreaterThan(5)
  const page = readFileSync(new URL('gateway/README.md', root), 'utf8')
  expect(page.replaceAll(/\s+/g, ' ')).toContain(`${names.slice(0, -1).join(', ')} and ${names.at(-1)} of [connect`)
})

/** The tables of what a call returns, each with the interface that declares it. */
const RESULTS: ReadonlyArray<readonly [page: string, section: string, name: string, others: readonly string[]]> = [
  ['src/terminal/README.md', 'Open, use and close', 'TerminalConnection', []],
  [
    'src/proxy/README.md',
    'The summary',
    'ProxySummary',
    ['bytesToClient', 'bytesToUpstream', 'inputDropped', 'dropped'],
  ],
]

it.each(RESULTS)('%s has a row for each member in "%s"', (page, section, name, inherited) => {
  const rows = rowsOf(page, section).map(([member = '']) => /^`(\w+)/.exec(member)?.[1])
  const members = [...fieldsOf(name).keys(), ...inherited]
  expect(members.length).toBeGreaterThan(5)
  expect(rows).toEqual(expect.arrayContaining(members))
})

/** Returns the strings of a union type, or of a field that is one. */
function literalsOf(declaration: RegExp): string[] {
  const [, union = ''] = declaration.exec(source) ?? []
  return [...union.matchAll(/'([^']+)'/g)].map(([, literal]) => String(literal))
}

it.each<[what: string, page: string, names: string[]]>([
  ['cause of an end', 'src/terminal/README.md', literalsOf(/readonly cause: ((?:'\w+'(?: \| )?)+)/)],
  ['release', 'src/testing/README.md', literalsOf(/export type TestRelease =\n(.*?)\n\n/s)],
  ['fault', 'src/testing/README.md', literalsOf(/export type TestFault =\n(.*?)\n\n/s)],
  ['operation', 'src/testing/README.md', literalsOf(/OPERATIONS = \[([^]*?)\]/)],
  [
    'member of a session',
    'src/testing/README.md',
    [...fieldsOf('TestSession').keys(), ...fieldsOf('TestOwner').keys()],
  ],
  ['member of a request', 'src/testing/README.md', [...fieldsOf('TestRequest').keys()]],
  ['field of a report', 'src/probe/README.md', [...fieldsOf('ProbeReport').keys(), ...fieldsOf('Verdict').keys()]],
  ['field of a check', 'src/probe/README.md', [...fieldsOf('ProbeCheck').keys(), ...fieldsOf('ProbeOutcome').keys()]],
  ['shape', 'src/probe/README.md', literalsOf(/export type ProbeShape =\s*(.*?)\n\n/s)],
  ['check', 'src/probe/README.md', literalsOf(/export type ProbeCheckName =\s*(.*?)\n\n/s)],
  ['field of a result', 'src/command/README.md', [...fieldsOf('CommandResult').keys()]],
  ['member of a command', 'src/command/README.md', [...fieldsOf('RunningCommand').keys()]],
  ['outcome', 'src/probe/README.md', literalsOf(/readonly outcome: ((?:'\w+'(?: \| )?)+)/)],
  ['field of a client', 'src/gateway/README.md', [...fieldsOf('TerminalClient').keys()]],
  ['field of a session', 'src/gateway/README.md', [...fieldsOf('GatewaySession').keys()]],
  ['channel', 'src/gateway/README.md', literalsOf(/const channels: [^{]*\{(.*?)^\}/ms)],
])('each %s is named in %s', (_, page, names) => {
  const text = readFileSync(new URL(`../${page}`, root), 'utf8')
  expect(names.length).toBeGreaterThan(1)
  expect(names.filter((name) => !new RegExp(`\`'?${name.replaceAll('+', '\\+')}\\b`).test(text))).toEqual([])
})

it('the index and the docs of TerminalError have the same codes', () => {
  const [, union = ''] = /export type TerminalErrorCode =\n(.*?)\n\n/s.exec(source) ?? []
  const codes = [...union.matchAll(/'(\w+)'/g)].map(([, code]) => `\`${code}\``)
  expect(codes.length).toBeGreaterThan(10)
  expect(
    rowsOf('README.md', 'Errors')
      .slice(1)
      .map(([code]) => code)
      .filter((code) => code?.startsWith('`ERR')),
  ).toEqual(codes)
})

it('the gateway page has every reason of a refusal', () => {
  const [, union = ''] = /export type RefusedReason =\n(.*?)\n\n/s.exec(source) ?? []
  const reasons = [...union.matchAll(/'([\w-]+)'/g)].map(([, reason]) => `\`${reason}\``)
  expect(reasons.length).toBeGreaterThan(8)
  const rows = rowsOf('src/gateway/README.md', 'Where refusals are seen').map(([reason = '']) => reason)
  expect(rows.filter((reason) => reason.startsWith('`') && reason !== '`reason`')).toEqual(reasons)
})

it('the table of flags has what --help says', async () => {
  const said = new Map<string, string[]>()
  const commands = ['attach', 'exec', 'probe', 'list', 'rm', 'url', 'demo']
  for (const name of commands) {
    const { stdout } = await run([name, '--help'])
    const help = Buffer.from(stdout, 'latin1').toString()
    for (const [, flag = '', meaning] of help.matchAll(/^ {2}(--\S+(?: [A-Z]+)?) +(\S.*)$/gm)) {
      const row = `\`${flag}\`: ${meaning}`
      said.set(row, [...(said.get(row) ?? []), `\`${name}\``])
    }
  }
  const shown = rowsOf('src/cli/README.md', 'Flags').filter(([flag = '']) => flag.startsWith('`'))
  expect(Object.fromEntries(shown.map(([flag, names, meaning]) => [`${flag}: ${meaning}`, names]))).toEqual(
    Object.fromEntries(
      [...said].map(([row, names]) => [row, names.length === commands.length ? 'all' : names.join(', ')]),
    ),
  )
})

it('the index is short', () => {
  const lines = readFileSync(new URL('../README.md', root), 'utf8').split('\n')
  expect(lines.length).toBeLessThanOrEqual(250)
})
