import type { AbortSignalLike } from '../lib/cancellation.ts'

/** Controls a request that is under way. */
export interface RequestControl {
  /** Lets the process end although the request is not answered. Absent where the runtime cannot. */
  release?(): void
  /** Whether the process may end although a request that starts from now on is not answered. */
  isReleased?: boolean
  /** Set when the request was sent again after a cut: the server may have carried out the first one (PROTOCOL 2.9). */
  wasRepeated?: boolean
}

/** One HTTP request, as a transport gets it. */
export interface HttpRequest {
  readonly method: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array<ArrayBuffer> | undefined
  /**
   * How many characters of the answer are read at least; the rest is not read.
   * @defaultValue 1 Mi, because a list of 16 sessions has 2 000
   */
  readonly longest?: number | undefined
  /** Ends the request. */
  readonly signal?: AbortSignalLike | undefined
  /** Asks for a connection that no other request uses. Runtimes that have only `fetch` cannot give one. */
  readonly ownConnection: boolean
  /** Gets a function that lets the process end although the request is not answered. Node only. */
  readonly control?: RequestControl | undefined
}

/** What a server answered. */
export interface HttpAnswer {
  /** 0 where a browser hides a redirect. */
  readonly status: number
  /** Returns the value of a header. The name is in lower case. */
  readonly header: (name: string) => string | undefined
  readonly body: string
}

/** Sends a request; rejects with the runtime's own error when no answer comes. It never follows a redirect. */
export type SendHttp = (url: string, request: HttpRequest) => Promise<HttpAnswer>

/** An error page that does not end must not fill the memory. */
export const LONGEST_ANSWER_CHARS: number = 1024 * 1024
