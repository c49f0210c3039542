import { assertObject } from '../lib/arguments.ts'
import { hasCode } from '../lib/errors.ts'
import { request as requestOnce, type SessionReply } from './requests.ts'
import type { RequestOptions } from './options.ts'

/** The part of the options that says who asks, and that changes while a session lives. */
export type Credentials = Pick<RequestOptions, 'authType' | 'key' | 'cookie' | 'headers'>

/** Options whose credentials can change: each client of a gateway session's owner brings new ones. */
export interface RenewedOptions extends RequestOptions {
  /** Returns the credentials, each always as the same object, the newest first. They replace those of the options. */
  readonly credentials?: (() => readonly Credentials[]) | undefined
}

/**
 * Sends a request with the newest credentials, and after a 401 with the others: those that have come meanwhile, and
 * those before. Rejects with the first error.
 */
export function request(
  what: string,
  options: RenewedOptions,
  plan: Parameters<typeof requestOnce>[2],
): Promise<SessionReply> {
  return withCredentials(options, (asked) => requestOnce(what, asked, plan))
}

/** Calls `ask` as {@link request} sends a request. It has to throw the error of a 401. */
export async function withCredentials<T>(
  options: RenewedOptions,
  ask: (options: RequestOptions) => Promise<T>,
): Promise<T> {
  assertObject('options', options)
  const all = options.credentials ?? (() => [options])
  const tried = new Set<Credentials>()
  let refused: unknown
  let credentials: Credentials | undefined
  while ((credentials = all().find((each) => !tried.has(each)))) {
    tried.add(credentials)
    try {
      return await ask({ ...options, ...credentials })
    } catch (error) {
      refused ??= error
      if (!hasCode(error, 'ERR_TERMINAL_UNAUTHORIZED')) break
    }
  }
  throw refused
}
