import { createInterface } from 'node:readline'
import { Writable } from 'node:stream'
import { abortable } from '../lib/deadline.ts'
import { CommandError, type Call } from './flags.ts'
import type { Host } from './host.ts'
import { readSecretFile } from './secret-file.ts'
import { Interruption } from './signals.ts'

/** Finds the key in the flags or the environment, or asks for it on a terminal; `undefined` stands for no key. */
export async function findKey({ flags }: Call, host: Host, signal: AbortSignal): Promise<string | undefined> {
  const { key, 'key-file': file, 'auth-type': authType } = flags
  if (authType === 'none') return undefined
  if (key !== undefined && file !== undefined) {
    throw new CommandError('ERR_INVALID_ARG_VALUE', 'Give one of --key and --key-file, not both.')
  }
  if (key !== undefined) {
    host.stderr.write('terminal-upstream: ps shows --key to every user; better: TERMINAL_UPSTREAM_KEY or --key-file\n')
    return key
  }
  if (file !== undefined) return readSecretFile('--key-file', file, host)
  const inherited = host.env['TERMINAL_UPSTREAM_KEY']
  if (inherited !== undefined) return inherited
  return host.stdin.isTTY && host.stderr.isTTY ? askForKey(host, signal) : undefined
}

/** Asks for the key without an echo; the end of input stands for no key. */
async function askForKey({ stdin, stderr }: Host, signal: AbortSignal): Promise<string> {
  const noEcho = new Writable({ write: (_chunk, _encoding, done) => done() })
  const lines = createInterface({ input: stdin, output: noEcho, terminal: true })
  stderr.write('Key (Enter for none): ')
  try {
    const answer = new Promise<string>((resolve, reject) => {
      lines.once('line', resolve)
      // Ctrl-Z is ignored: readline would not continue after it.
      lines.on('SIGTSTP', () => {})
      lines.once('SIGINT', () => reject(new Interruption('SIGINT')))
      lines.once('close', () => resolve(''))
    })
    return await abortable(answer, signal)
  } finally {
    lines.close()
    stderr.write('\n')
  }
}
