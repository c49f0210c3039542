import type { TestRequest } from './requests.ts'

/** The answer to a REST request: the status, the body before it becomes JSON unless it is text, and headers. */
export type RestAnswer = readonly [status: number, body: unknown, headers?: Record<string, string>]

/** The answer of a server that fails itself. */
export const ERROR: RestAnswer = [500, 'Internal Server Error']

// How the servers name what is wrong with a request, and how they say it.
const MESSAGES = {
  missing: 'Field required',
  json_invalid: 'JSON decode error',
  model_attributes_type: 'Input should be a valid dictionary or object to extract fields from',
  string_type: 'Input should be a valid string',
  dict_type: 'Input should be a valid dictionary',
  bool_parsing: 'Input should be a valid boolean, unable to interpret input',
  float_parsing: 'Input should be a valid number, unable to parse string as a number',
  int_parsing: 'Input should be a valid integer, unable to parse string as an integer',
  greater_than_equal: 'Input should be greater than or equal to ',
  less_than_equal: 'Input should be less than or equal to ',
  value_error: "Value error, Expected UploadFile, received: <class 'str'>",
}

/** What is wrong with a value of a request. A server answers 422 with a list of these. */
export interface Problem {
  readonly type: keyof typeof MESSAGES
  readonly loc: readonly string[]
  readonly msg: string
  readonly input: unknown
}

export function problemOf(type: Problem['type'], loc: readonly string[], input: unknown = null, limit = ''): Problem {
  return { type, loc, msg: MESSAGES[type] + limit, input }
}

type Query = Readonly<Record<string, string>>

const NUMBER = { float: /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/, int: /^[+-]?\d+$/ }

/** Returns what is wrong with a number in a query. */
export function numberProblems(
  query: Query,
  name: string,
  type: 'float' | 'int',
  least: number,
  most: number = Infinity,
): Problem[] {
  const text = query[name]
  if (text === undefined || text === 'null') return []
  const problem = (kind: Problem['type'], limit?: number): Problem[] => [
    problemOf(kind, ['query', name], text, limit === undefined ? '' : String(limit)),
  ]
  if (!NUMBER[type].test(text)) return problem(`${type}_parsing`)
  if (Number(text) < least) return problem('greater_than_equal', least)
  return Number(text) > most ? problem('less_than_equal', most) : []
}

/** Returns the number in a query that has no problem. */
export function numberIn(query: Query, name: string): number | undefined {
  const text = query[name]
  return text === undefined || text === 'null' ? undefined : Number(text)
}

/** Returns the object in a JSON body, or why it is none. */
export function readObject(
  { 'content-type': contentType = '' }: TestRequest['headers'],
  bytes: Buffer,
): Readonly<Record<string, unknown>> | Problem[] {
  const body = bytes.toString()
  if (body === '') return [problemOf('missing', ['body'])]
  let value: unknown = body
  try {
    if (/^application\/(?:[^;]*\+)?json\b/i.test(contentType)) value = JSON.parse(body)
  } catch {
    return [problemOf('json_invalid', ['body'], {})]
  }
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value))
    : [problemOf('model_attributes_type', ['body'], value)]
}

/** Returns what is wrong with a field of a body that has to be a string. */
export function stringProblems(value: unknown, ...loc: string[]): Problem[] {
  return typeof value === 'string' ? [] : [problemOf('string_type', ['body', ...loc], value)]
}

/** Returns what is wrong with a field of a body that has to be there, and a string. */
export function requiredString(object: Readonly<Record<string, unknown>>, name: string): Problem[] {
  return object[name] === undefined
    ? [problemOf('missing', ['body', name], object)]
    : stringProblems(object[name], name)
}
