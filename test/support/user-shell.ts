/** Sends a request below `/api/terminals/user`, and resolves with what came back. */
export type AskShell = (
  method: string,
  path: string,
  headers?: Record<string, string>,
  body?: string | Uint8Array<ArrayBuffer>,
) => Promise<{ status: number; allow: string | null; body: unknown }>

/** Returns a function that sends such requests to a server, with headers that say who asks. */
export function askShellOf(base: string, own: Record<string, string>): AskShell {
  return async (method, path, headers = {}, body) => {
    const url = `${base}/api/terminals/user/${path}`
    const answer = await fetch(url, { method, headers: { ...own, ...headers }, ...(body !== undefined && { body }) })
    const text = await answer.text()
    return { status: answer.status, allow: answer.headers.get('allow'), body: text === '' ? '' : JSON.parse(text) }
  }
}

const JSON_BODY = { 'content-type': 'application/json' }
const NOT_ALLOWED = { detail: 'Method Not Allowed' }
const NOT_AN_OBJECT = 'Input should be a valid dictionary or object to extract fields from'

function invalid(type: string, loc: string[], msg: string, input: unknown): object {
  return { detail: [{ type, loc, msg, input }] }
}

/** A request, and the answer of Open Terminal 0.14.5, where a shell has a client (PROTOCOL 2.17 and 2.23). */
type Row = readonly [
  method: string,
  path: string,
  headers: Record<string, string>,
  body: string | undefined,
  status: number,
  answer: unknown,
  allow?: string,
]

// prettier-ignore
export const USER_SHELL_ANSWERS: readonly Row[] = [
  ['POST', 'output', {}, undefined, 405, NOT_ALLOWED, 'GET'],
  ['HEAD', 'output', {}, undefined, 405, '', 'GET'],
  ['DELETE', 'output', {}, undefined, 405, NOT_ALLOWED, 'GET'],
  ['GET', 'input', {}, undefined, 405, NOT_ALLOWED, 'POST'],
  ['PUT', 'input', JSON_BODY, '{"input":"x"}', 405, NOT_ALLOWED, 'POST'],
  ['GET', 'output', { authorization: 'Bearer wrong' }, undefined, 401, { detail: 'Invalid API key' }],
  ['POST', 'input', { authorization: 'Bearer wrong', ...JSON_BODY }, '{"input":1}', 401, { detail: 'Invalid API key' }],
  ['GET', 'output', { 'x-session-id': 'chat-9' }, undefined, 404, { detail: 'No connected user shell' }],
  ['POST', 'input', { 'x-session-id': 'chat-9', ...JSON_BODY }, '{"input":"x"}', 404, { detail: 'No connected user shell' }],
  ['POST', 'input', JSON_BODY, '{"input":"a\\u0000b\\n","more":1}', 200, { status: 'ok' }],
  ['POST', 'input', JSON_BODY, ' {"input":1,"input":""} ', 200, { status: 'ok' }],
  ['POST', 'input', { 'content-type': 'APPLICATION/JSON; charset=utf-8' }, '{"input":""}', 200, { status: 'ok' }],
  ['POST', 'input', { 'content-type': 'application/vnd.api+json' }, '{"input":""}', 200, { status: 'ok' }],
  ['POST', 'input', JSON_BODY, '', 422, invalid('missing', ['body'], 'Field required', null)],
  ['POST', 'input', { 'content-type': 'text/plain' }, '{"input":""}', 422, invalid('model_attributes_type', ['body'], NOT_AN_OBJECT, '{"input":""}')],
  ['POST', 'input', JSON_BODY, 'null', 422, invalid('model_attributes_type', ['body'], NOT_AN_OBJECT, null)],
  ['POST', 'input', JSON_BODY, '["x"]', 422, invalid('model_attributes_type', ['body'], NOT_AN_OBJECT, ['x'])],
  ['POST', 'input', JSON_BODY, '{"more":1}', 422, invalid('missing', ['body', 'input'], 'Field required', { more: 1 })],
  ['POST', 'input', JSON_BODY, '{"input":7}', 422, invalid('string_type', ['body', 'input'], 'Input should be a valid string', 7)],
  ['POST', 'input', JSON_BODY, '{"input":null}', 422, invalid('string_type', ['body', 'input'], 'Input should be a valid string', null)],
  // The real server also says where, and why.
  ['POST', 'input', JSON_BODY, '{"input":', 422, invalid('json_invalid', ['body'], 'JSON decode error', {})],
]
