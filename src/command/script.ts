import { wrongValue } from '../lib/arguments.ts'
import { bytesOf } from '../lib/globals.ts'

/** What runs on the server. All of it stands in the server's log, but for the values of `env` and the input. */
export interface CommandPlan {
  /** A random name, by which the command runs at most once, and is found and ended. */
  readonly name: string
  readonly command: string
  readonly cwd: string | undefined
  /** The names of its variables. */
  readonly variables: readonly string[]
  /** Where the input comes from: nowhere, the variable {@link INPUT}, or the file of {@link inputFile}. */
  readonly input: 'none' | 'variable' | 'file'
}

/** Variables that begin with this are ours. */
export const PREFIX = 'TERMINAL_UPSTREAM_'
/** The variable with the input, in base64. */
export const INPUT: string = `${PREFIX}INPUT`
const SERVER_KEY = 'OPEN_TERMINAL_API_KEY'
// What may be sent to the process group of a command, by this package or by the command itself.
const SIGNALS = 'HUP INT QUIT TERM'
/** The folder for {@link inputFile}. */
export const FOLDER = '/tmp'
const OLD = `find ${FOLDER} -maxdepth 1 -name '.terminal-upstream-*' -mmin +60`
const SWEEP = `${OLD} \\( -type d -exec rmdir {} + -o -type f -exec rm -f {} + \\) >&2`
// PROTOCOL 9.3: Linux allows no more in one argument of a program, and none in one variable.
const LONGEST_ARGUMENT_BYTES = 131_071

/** Returns the name of the file with the input, in {@link FOLDER}. */
export function inputFile(name: string): string {
  return `.terminal-upstream-${name}.stdin`
}

/** Returns the path of {@link inputFile}. */
export function inputPath(name: string): string {
  return `${FOLDER}/${inputFile(name)}`
}

/** Returns a text as one word of a shell. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}

/**
 * Returns the program for `sh` that runs a command and prints what it printed, in lines of ASCII, because the servers
 * merge stdout and stderr, and break what is no ASCII (PROTOCOL 9.6, 9.8):
 *
 * - `o0:8:aGVsbG8K` and `e0:…`: a part of stdout or stderr, its number, and its base64 with the length of that.
 * - `o1.` and `e1.`: the end of stdout or stderr, and how many parts it had.
 * - `b`: the program has begun, and is not a twin.
 * - `c0`: the exit status of the command, whose children may go on.
 * - `x0`: the end of all, and the exit status.
 * - `!…`: why the command has not run.
 *
 * The variables of the command have other names until it starts: a `PATH` is not for the programs around it. Parts that
 * are longer than one write of a shell could mix, so whoever prints one takes the only line of `lock` meanwhile. A
 * signal to the group is for the command alone: the programs around it ignore it from their first line on, wait for the
 * last words, and do not let the command be found before it can be ended.
 *
 * Each program that is started costs a millisecond or more. Nothing that the command prints is written to a disk, which
 * may be full.
 */
export function commandScript({ name, command, cwd, variables, input }: CommandPlan): string {
  const own = variables.map((variable) => PREFIX + variable)
  const assignments = variables.map((variable) => `${variable}="$${PREFIX}${variable}"`)
  const file = inputPath(name)
  // All of them arrive, or none: Open Terminal passes none on in its mode for several users.
  const sent = input === 'variable' ? INPUT : own[0]
  const check = sent === undefined ? '' : `[ "\${${sent}+x}" ] || tu_fail variables\n`
  // Only one command of 256, by chance: a server of a busy service has thousands of folders in an hour.
  const sweep = name.endsWith('00') ? `${SWEEP} &\n` : ''
  // Old servers give their own key to every command (PROTOCOL 9.5).
  const unwanted = variables.includes(SERVER_KEY) ? own : [...own, SERVER_KEY]
  const exported = variables.length === 0 ? '' : `export ${assignments.join(' ')}; `
  const [opening, run] = {
    none: [':', 'tu_run </dev/null'],
    // The variable goes no further: the programs around the command get their environment from here, too.
    variable: [`tu_in=$${INPUT}; unset ${INPUT}`, 'printf %s "$tu_in" | base64 -d | tu_run'],
    file: [`[ -r ${file} ] || tu_fail input; exec 5<${file}; rm -f ${file}`, 'tu_run <&5'],
  }[input]
  return `exec 2>/dev/null
trap '' ${SIGNALS}
tu_fail() { echo "!$1"; exit 1; }
for tu in base64 dd mkdir mkfifo rm tr; do command -v $tu >&2 || tu_fail $tu; done
tu_dir=${directory(name)}
mkdir -m 700 $tu_dir || { [ -d $tu_dir ] && tu_fail twin; tu_fail folder; }
echo b
read -r tu </proc/self/stat
set -- \${tu##*) }
tu_group=\${3:-$$}
${check}${cwd === undefined ? '' : `cd -- ${quote(cwd)} || tu_fail cwd\n`}${opening}
mkfifo $tu_dir/lock $tu_dir/o $tu_dir/e && exec 8>&1 9<>$tu_dir/lock && echo >&9 || tu_fail folder
tu_base64='base64 -w 0'
$tu_base64 </dev/null || tu_base64=base64
tu_pump() {
  tu_n=0
  while tu=$(dd bs=65536 count=1 | $tu_base64); [ "$tu" ]; do
    [ "$tu_base64" = base64 ] && tu=$(printf %s "$tu" | tr -d '\\n')
    tu_say "$1$tu_n:\${#tu}:$tu"
    tu_n=$((tu_n + 1))
  done
  tu_say $1$tu_n.
}
tu_say() { read -r tu_turn <&9; printf '%s\\n' "$1"; echo >&9; }
tu_run() (
  trap - ${SIGNALS}
  read -r tu tu_rest </proc/self/stat && echo $tu >$tu_dir/command
  echo $tu_group >$tu_dir/group
  ${exported}unset ${unwanted.join(' ')}
  exec /bin/sh -c -- ${quote(command)} >&6 2>&7 5<&- 6>&- 7>&- 8>&- 9>&-
)
${sweep}tu_pump o <$tu_dir/o &
tu_pump e <$tu_dir/e &
exec 6>$tu_dir/o 7>$tu_dir/e
${run}
tu_status=$?
exec 6>&- 7>&-
: >$tu_dir/command
tu_say c$tu_status
wait
rm -f $tu_dir/*
echo x$tu_status`
}

/**
 * Returns the program that ends a command, on the word of the caller: with TERM its process group, and with KILL the
 * command alone or its group, the shells around it included. A DELETE would harm other commands (PROTOCOL 9.13).
 *
 * Prints `sent` if the signal was sent, and `never` if the command has not run yet, and so never will.
 */
export function killScript(name: string, signal: 'TERM' | 'KILL', target: 'group' | 'command'): string {
  const files = `${directory(name)}/`
  const kill = `read -r tu <${files}${target} && kill -s ${signal} -- ${target === 'group' ? '-' : ''}"$tu" && echo sent`
  // Who is killed cleans nothing up.
  const clean = signal === 'KILL' && target === 'group' ? `; rm -f ${files}*` : ''
  return `exec 2>/dev/null; if mkdir -m 700 ${files}; then echo never; else ${kill}${clean}; fi`
}

/** Returns the folder of a command. It stays for an hour: a proxy may send a request once more (PROTOCOL 9.17). */
function directory(name: string): string {
  return `${FOLDER}/.terminal-upstream-${name}`
}

/** Returns the text that the server lists with a command, and with no other one. */
export function markOf(name: string): string {
  return `tu_dir=${directory(name)}\n`
}

/** Throws when a text is longer than Linux allows in one argument or variable. */
export function assertShort(name: string, text: string, cure: string): void {
  const size = bytesOf(text).length
  if (size <= LONGEST_ARGUMENT_BYTES) return
  const rest = size - LONGEST_ARGUMENT_BYTES
  throw wrongValue(name, `is ${rest} bytes too long for Linux: ${cure}`)
}
