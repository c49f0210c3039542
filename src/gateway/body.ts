import type { IncomingMessage, ServerResponse } from 'node:http'
import { finished } from 'node:stream'
import { asRecord, parseJson } from '../upstream/requests.ts'
import { isAnswered, refuse, type Refusal } from './answers.ts'

const LONGEST_BODY_BYTES = 64 * 1024

const TOO_LARGE: Refusal = { status: 413, body: { detail: 'Content Too Large' }, reason: 'bad-request' }
const NOT_UTF8: Refusal = {
  status: 400,
  body: { detail: 'There was an error parsing the body' },
  reason: 'bad-request',
}

/**
 * Reads a body, and resolves with it, or with nothing unless it is wanted. Answers 413, and ends the connection, if it
 * is too large.
 */
export function receiveBody(request: IncomingMessage, response: ServerResponse, isWanted: boolean): Promise<Buffer> {
  const chunks: Buffer[] = []
  let received = 0
  request.on('data', (chunk: Buffer) => {
    received += chunk.length
    if (received <= LONGEST_BODY_BYTES) {
      if (isWanted) chunks.push(chunk)
    } else if (!isAnswered(response)) {
      response.setHeader('Connection', 'close')
      refuse(response, TOO_LARGE)
    }
  })
  return new Promise((resolve) => void finished(request, () => resolve(Buffer.concat(chunks))))
}

/** Returns the input of a body, or what is wrong with the body: the order and the words are the real server's. */
export function readInput(contentType = '', body: Buffer): string | Refusal {
  if (body.length === 0) return invalid('missing', 'Field required', null)
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch {
    return NOT_UTF8
  }
  let value: unknown = text
  if (/^\s*application\/(?:[^;\s]*\+)?json\s*(?:;|$)/i.test(contentType)) {
    value = parseJson(text)
    if (value === undefined) return invalid('json_invalid', 'JSON decode error', {})
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return invalid(
      'model_attributes_type',
      'Input should be a valid dictionary or object to extract fields from',
      value,
    )
  }
  const { input } = asRecord(value)
  if (input === undefined) return invalid('missing', 'Field required', value, 'input')
  // Half a character: the real server fails.
  if (typeof input === 'string' && /\p{Surrogate}/u.test(input)) {
    return invalid('string_unicode', 'Input should be a valid string, unable to parse raw data', input, 'input')
  }
  return typeof input === 'string' ? input : invalid('string_type', 'Input should be a valid string', input, 'input')
}

function invalid(type: string, msg: string, input: unknown, ...field: string[]): Refusal {
  return { status: 422, body: { detail: [{ type, loc: ['body', ...field], msg, input }] }, reason: 'bad-request' }
}
