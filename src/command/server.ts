import { withDeadline } from '../lib/deadline.ts'
import type { AbortSignalLike } from '../lib/cancellation.ts'
import { withoutSecrets } from '../lib/errors.ts'
import { bytesOf } from '../lib/globals.ts'
import { evidenceOf } from '../upstream/advice.ts'
import { failureError, statusError, terminalError } from '../upstream/failures.ts'
import { resolveEndpoint, type RequestOptions } from '../upstream/options.ts'
import { asRecord, exchange, serverMessage, type Reply } from '../upstream/requests.ts'
import { addQuery, locate, withoutQuery } from '../upstream/url.ts'
import { join } from './frames.ts'

/** What a server says of a command. */
export interface CommandStatus {
  readonly id: string
  readonly isRunning: boolean
  /** That of the program around the command; negative for a signal. */
  readonly exitCode: number | undefined
  /** The output from the offset on that was asked for. */
  readonly text: string
  /** The offset behind it: a number of pieces. */
  readonly offset: number
}

/** How a program is started. */
interface StartOptions {
  /** s until the answer comes at the latest, although the program runs. */
  readonly wait?: number
  readonly timeout?: number
  readonly signal?: AbortSignalLike
}

interface CommandRequest {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** The path below the base, and the query. */
  readonly path: readonly string[]
  readonly query?: string
  readonly type?: string
  readonly body?: string | Uint8Array<ArrayBuffer>
  readonly timeout: number
  readonly signal?: AbortSignalLike | undefined
}

/** How long a status may wait for the end of a command: common proxies cut a request after 60 s. */
export const LONGEST_WAIT_S = 25
// A server that is full answers when a command ends (PROTOCOL 9.14).
const TIMEOUT_MS = 30_000
const UPLOAD_TIMEOUT_MS = 300_000
// 50 MB of JSON are in a log at most, but for Open Terminal 0.8.1 (PROTOCOL 9.10).
const LONGEST_ANSWER_CHARS = 128 * 1024 * 1024

/** The `/execute` of a server (PROTOCOL 9). */
export class CommandServer {
  /** The beginning of each error's message: what failed, and where. */
  readonly action: string
  readonly #options: RequestOptions

  constructor(options: RequestOptions) {
    this.#options = options
    this.action = `Cannot run a command at ${withoutQuery(this.#url(['execute']))}`
  }

  /** Starts a program. With `wait`, answers at its end, at most so many seconds later. */
  async start(
    command: string,
    env: Readonly<Record<string, string>>,
    { wait = 0, timeout = TIMEOUT_MS, signal }: StartOptions = {},
  ): Promise<CommandStatus> {
    const body = JSON.stringify({ command, env })
    const query = `wait=${wait}`
    const asked = { method: 'POST', path: ['execute'], query, type: 'application/json', body } as const
    return this.#statusIn(await this.#ask({ ...asked, timeout, signal }))
  }

  /** Asks for what a program has printed since another status, and whether it runs. */
  async status({ id, offset }: CommandStatus, wait: number, signal: AbortSignalLike): Promise<CommandStatus> {
    const path = ['execute', id, 'status']
    const timeout = wait * 1_000 + TIMEOUT_MS
    const query = `wait=${wait}&offset=${offset}`
    const reply = await this.#ask({ method: 'GET', path, query, timeout, signal }, 'Process not found')
    if (reply.status !== 404) return { ...this.#statusIn(reply), id }
    throw terminalError(
      'ERR_TERMINAL_NOT_FOUND',
      this.action,
      'the server has forgotten it, as it does 300 s after the end, and when it restarts',
    )
  }

  /** Returns the ids of all programs with a text, those that have ended lately included. */
  async find(text: string): Promise<string[]> {
    const { json } = await this.#ask({ method: 'GET', path: ['execute'], timeout: TIMEOUT_MS })
    const all = Array.isArray(json) ? json.map(asRecord) : []
    return all.flatMap(({ id, command }) => (isId(id) && String(command).includes(text) ? [id] : []))
  }

  /** Writes a file (PROTOCOL 9.18). */
  async upload(folder: string, name: string, content: Uint8Array, signal: AbortSignalLike): Promise<void> {
    const head = `Content-Disposition: form-data; name="file"; filename="${name}"\r\nContent-Type: application/octet-stream`
    const body = join([bytesOf(`--${name}\r\n${head}\r\n\r\n`), content, bytesOf(`\r\n--${name}--\r\n`)])
    const type = `multipart/form-data; boundary=${name}`
    const query = `directory=${encodeURIComponent(folder)}`
    await this.#ask({
      method: 'POST',
      path: ['files', 'upload'],
      query,
      type,
      body,
      timeout: UPLOAD_TIMEOUT_MS,
      signal,
    })
  }

  /** Deletes a file. */
  async remove(path: string): Promise<void> {
    const query = `path=${encodeURIComponent(path)}`
    await this.#ask({ method: 'DELETE', path: ['files', 'delete'], query, timeout: TIMEOUT_MS }, 'Path not found')
  }

  #url(path: readonly string[], query = ''): string {
    const url = locate(this.#options.base, 'http', this.#options.policyId, path)
    return query === '' ? url : addQuery(url, query)
  }

  async #ask({ method, path, query, type, body, timeout, signal }: CommandRequest, missing?: string): Promise<Reply> {
    const endpoint = await resolveEndpoint({ ...this.#options, signal })
    const headers = type === undefined ? endpoint.headers : { ...endpoint.headers, 'Content-Type': type }
    let reply: Reply
    try {
      const request = { method, headers, body, longest: LONGEST_ANSWER_CHARS }
      reply = await withDeadline(timeout, signal, (limit) =>
        exchange(this.#url(path, query), { ...request, signal: limit }),
      )
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      throw failureError(this.action, withoutSecrets(error, endpoint.redact))
    }
    const { status, json, header } = reply
    // A proxy that loses its server may end an answer early, and as if that were its end.
    if (json === undefined && /json/.test(header('content-type') ?? '')) {
      throw terminalError('ERR_TERMINAL_UNAVAILABLE', this.action, 'the answer was cut', { status })
    }
    const says = serverMessage(json)
    // A proxy on the way answers 404, too. Only the word of the server counts.
    if (status === 200 || (status === 404 && says === missing)) return reply
    const evidence = { step: method, says, hasKey: endpoint.hasKey, ...evidenceOf(header) }
    throw statusError(this.action, status, evidence, endpoint.redact(says))
  }

  #statusIn({ json }: Reply): CommandStatus {
    const { id, status, exit_code: exitCode, output, next_offset: offset } = asRecord(json)
    if (!isId(id) || !Array.isArray(output) || typeof offset !== 'number') {
      throw terminalError('ERR_TERMINAL_PROTOCOL', this.action, 'the answer is not that of a terminal server')
    }
    const text = output.map((piece) => String(asRecord(piece)['data'])).join('')
    const known = typeof exitCode === 'number' ? exitCode : undefined
    return { id, isRunning: status === 'running', exitCode: known, text, offset }
  }
}

/** Whether a value is an id as servers make them, and so a harmless part of a path. */
function isId(value: unknown): value is string {
  return typeof value === 'string' && /^[\w-]+$/.test(value)
}
