import { CommandError, type Call } from './flags.ts'
import type { Host } from './host.ts'
import { readSecretFile } from './secret-file.ts'

/** Reads the headers from `--header` and `--header-file`; `undefined` if there are none. The library checks them. */
export async function findHeaders(call: Call, host: Host): Promise<Record<string, string> | undefined> {
  const { 'header-file': file } = call.flags
  const lines = file === undefined ? [] : (await readSecretFile('--header-file', file, host)).split(/[\r\n]+/)
  const headers = [
    ...call.headers.map((header) => parseHeader('--header', header)),
    ...lines.filter((line) => line.trim() !== '').map((line) => parseHeader('--header-file', line.trim())),
  ]
  const names = headers.map(([name]) => name.toLowerCase())
  const twice = names.find((name, index) => names.indexOf(name) !== index)
  if (twice !== undefined) throw new CommandError('ERR_INVALID_ARG_VALUE', `There is more than one header ${twice}.`)
  return headers.length === 0 ? undefined : Object.fromEntries(headers)
}

/** Returns the name and the value. The error does not quote the header, because it may be a secret. */
function parseHeader(flag: string, header: string): [name: string, value: string] {
  const [, name, value = ''] = /^([\w!#$%&'*+.^`|~-]+):(.*)$/s.exec(header) ?? []
  if (name !== undefined) return [name, value.trim()]
  const example = "'CF-Access-Client-Id: 8f14e45f'"
  throw new CommandError('ERR_INVALID_ARG_VALUE', `${flag} wants a name, a colon and a value, such as ${example}.`)
}
