import { ATTACH } from './attach.ts'
import { DEMO } from './demo.ts'
import { EXEC } from './exec.ts'
import { exitStatusOf, isExpected, printError } from './failure.ts'
import { helpOf, readCall, unknownName } from './flags.ts'
import { CommandError, interruptible, Interruption, WRONG_USE, type Host } from './host.ts'
import { PROBE } from './probe.ts'
import { LIST, RM } from './sessions.ts'
import { URL_COMMAND } from './url.ts'

const COMMANDS = [ATTACH, EXEC, PROBE, LIST, RM, URL_COMMAND, DEMO]

const HELP = `terminal-upstream COMMAND [flags]

Use an Open WebUI terminal, with any release of Open Terminal or Terminals.

  attach URL   connect this terminal, or a pipe, to a shell on the server
  exec URL     run one command on the server, with its output and exit status
  probe URL    find out which server answers, what it requires of a client, and what is wrong
  list URL     list your sessions on the server
  rm URL ID…   delete the sessions that you name, or with --all every session that list shows
  url URL      print the WebSocket URL that a client dials
  demo         show what this package does, with servers inside this process

See terminal-upstream COMMAND --help for the flags. The key comes from TERMINAL_UPSTREAM_KEY.
`

/** Runs the command with these arguments; resolves with its exit status. */
export async function main(args: readonly string[], host: Host, version: string): Promise<number> {
  try {
    return await interruptible(host, (signal) => run(args, host, version, signal))
  } catch (error) {
    if (error instanceof Interruption) {
      // Output that has not been read would keep the process alive.
      if (host.stdout.writableLength > 0) host.exit(error.exitStatus)
      return error.exitStatus
    }
    if (!isExpected(error)) throw error
    printError(host, error)
    return exitStatusOf(error)
  }
}

async function run(
  [name = '', ...args]: readonly string[],
  host: Host,
  version: string,
  signal: AbortSignal,
): Promise<number> {
  if (name === '--version') return print(host, `${version}\n`)
  if (name === 'help' && args[0] !== undefined) return run([args[0], '--help'], host, version, signal)
  if (['--help', '-h', 'help'].includes(name)) return print(host, HELP)
  if (name === '') {
    host.stderr.write(HELP)
    return WRONG_USE
  }
  const command = COMMANDS.find((one) => one.name === name)
  if (!command) throw unknownCommand(name)
  const call = readCall(command, args)
  if (call.flags.help !== undefined) return print(host, helpOf(command))
  if (call.flags.version !== undefined) return print(host, `${version}\n`)
  return command.run(call, host, signal)
}

function unknownCommand(name: string): CommandError {
  const helpHint = 'See terminal-upstream --help.'
  // The message does not quote the flag, because it may have a key.
  if (name.startsWith('-')) return new CommandError(`A command comes first, then its flags. ${helpHint}`)
  const names = COMMANDS.map((one) => one.name)
  return unknownName('ERR_INVALID_ARG_VALUE', 'command', name, names, helpHint)
}

function print({ stdout }: Host, text: string): number {
  stdout.write(text)
  return 0
}
