import { globalWith } from '../lib/globals.ts'
import { LONGEST_ANSWER_CHARS, type SendHttp } from './http.ts'

/** The transport of browsers, workers and Bun. */
export const sendHttp: SendHttp = async (url, { method, headers, body, longest, signal }) => {
  const { AbortController, fetch } = globalWith('fetch')
  const controller = new AbortController()
  const abort = (): void => controller.abort()
  signal?.addEventListener('abort', abort)
  try {
    const response = await fetch(url, {
      method,
      headers,
      ...(body !== undefined && { body }),
      signal: controller.signal,
      redirect: 'manual',
    })
    return {
      status: response.status,
      header: (name) => response.headers.get(name) ?? undefined,
      body: await readBody(response, longest),
    }
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

async function readBody(response: Response, longest = LONGEST_ANSWER_CHARS): Promise<string> {
  const reader = response.body?.getReader?.()
  // Some replacements of fetch in tests, such as whatwg-fetch, have no streams.
  if (!reader) return response.text()
  const decoder = new (globalWith('TextDecoder').TextDecoder)()
  let text = ''
  for (let part; text.length < longest && !(part = await reader.read()).done;) {
    text += decoder.decode(part.value, { stream: true })
  }
  // Not awaited: a runtime may never settle it.
  reader.cancel().catch(() => {})
  return text
}
