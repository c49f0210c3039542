import {
  ERROR,
  numberIn,
  numberProblems,
  problemOf,
  readObject,
  requiredString,
  stringProblems,
  type Problem,
  type RestAnswer,
} from './answers.ts'
import type { CommandRequest, ServerCommand } from './commands.ts'
import { interpretEscapes } from './command-input.ts'
import { wait } from './faults.ts'
import { removeFile, upload } from './files.ts'
import type { Route } from './routes.ts'
import type { TestRequest } from './requests.ts'
import type { ServerState } from './server.ts'
import type { TestOwner } from './session.ts'

const NOT_FOUND: RestAnswer = [404, { detail: 'Process not found' }]
// The threads of a server with two processors. Up to 0.14.1, each running command takes one (PROTOCOL 9.14).
const THREADS = 6

/** Answers a request for commands or files as Open Terminal does. */
export async function answerCommand(
  state: ServerState,
  requester: TestOwner,
  request: TestRequest,
  { operations, commandId }: Route,
  body: Buffer,
): Promise<RestAnswer> {
  const { query, headers, method } = request
  const operation = operations[method]
  const own = state.commandsOf(requester)
  if (operation === 'commands') return [200, own.map(entryOf)]
  if (operation === 'upload' || operation === 'remove') await untilThreadIsFree(state, requester)
  if (operation === 'upload') return upload(state.behaviour, query, String(headers['content-type']), body)
  if (operation === 'remove') return removeFile(state.behaviour, query)

  const problems = queryProblems(operation, query)
  const isTyped = operation === 'execute' || operation === 'input'
  const object = isTyped ? readObject(headers, body) : {}
  if (Array.isArray(object)) problems.push(...object)
  else if (isTyped)
    problems.push(...(operation === 'execute' ? commandProblems(object) : requiredString(object, 'input')))
  if (problems.length > 0) return [422, { detail: problems }]

  if (operation === 'execute') {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- checked above
    const command = await state.run(requester, object as unknown as CommandRequest).catch(() => undefined)
    return command ? answerStatus(state, requester, command, query, true) : ERROR
  }
  const command = own.find(({ id }) => id === commandId)
  if (!command) return NOT_FOUND
  if (operation === 'status') return answerStatus(state, requester, command, query, false)
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- checked above
  if (operation === 'input') return answerInput(state, requester, command, (object as { input: string }).input)
  const isForced = /^(?:1|true|t|yes|y|on)$/i.test(query['force'] ?? '')
  return (await command.terminate(isForced)) ? [200, { status: 'killed' }] : ERROR
}

function queryProblems(operation: string | undefined, query: TestRequest['query']): Problem[] {
  if (operation === 'kill') {
    const force = query['force'] ?? 'false'
    const isKnown = /^(?:[01]|true|false|[tfyn]|yes|no|on|off)$/i.test(force)
    return isKnown ? [] : [problemOf('bool_parsing', ['query', 'force'], force)]
  }
  if (operation === 'input') return []
  return [
    ...numberProblems(query, 'wait', 'float', 0, 300),
    ...(operation === 'status' ? numberProblems(query, 'offset', 'int', 0) : []),
    ...numberProblems(query, 'tail', 'int', 1),
  ]
}

function commandProblems(object: Readonly<Record<string, unknown>>): Problem[] {
  const { cwd, env } = object
  const isObject = typeof env === 'object' && env !== null && !Array.isArray(env)
  return [
    ...requiredString(object, 'command'),
    ...(cwd === undefined || cwd === null ? [] : stringProblems(cwd, 'cwd')),
    ...(isObject ? Object.entries(env).flatMap(([name, value]) => stringProblems(value, 'env', name)) : []),
    ...(isObject || env === undefined || env === null ? [] : [problemOf('dict_type', ['body', 'env'], env)]),
  ]
}

function entryOf({ id, command, status, exitCode, logPath }: ServerCommand): object {
  return { id, command, status, exit_code: exitCode, log_path: logPath }
}

async function answerStatus(
  state: ServerState,
  requester: TestOwner,
  command: ServerCommand,
  query: TestRequest['query'],
  isFirst: boolean,
): Promise<RestAnswer> {
  const seconds = numberIn(query, 'wait') ?? 0
  if (seconds > 0 && command.status === 'running') {
    await wait(seconds * 1000, command.ended)
    if (command.ended.aborted && command.log.isBroken) return ERROR
  }
  await untilThreadIsFree(state, requester)
  const { log, cwd } = command
  const entry = { ...entryOf(command), ...(isFirst && state.behaviour.asyncCommands && { cwd }) }
  return [200, { ...entry, ...log.read(isFirst ? 0 : (numberIn(query, 'offset') ?? 0), numberIn(query, 'tail')) }]
}

/** Types into a command. Input that the program does not read holds up every request to an older server, for good. */
async function answerInput(
  state: ServerState,
  requester: TestOwner,
  command: ServerCommand,
  escaped: string,
): Promise<RestAnswer> {
  if (command.status !== 'running') return [400, { detail: 'Process has already exited' }]
  const text = interpretEscapes(escaped)
  if (text === undefined) return ERROR
  const room = command.input(text)
  if (!state.behaviour.asyncCommands) state.holdUp(requester, room)
  await state.untilFree(requester)
  return (await room) ? [200, { status: 'ok' }] : [400, { detail: 'Process stdin is closed' }]
}

async function untilThreadIsFree(state: ServerState, requester: TestOwner): Promise<void> {
  if (state.behaviour.asyncCommands) return
  for (let running; (running = state.runningOf(requester)).length >= THREADS;) {
    await Promise.race(running.map(({ done }) => done))
  }
}
