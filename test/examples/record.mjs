// Records what a session of a gateway shows, in the format asciicast v2, for `asciinema play`.
import { once } from 'node:events'

/**
 * Writes a recording to a stream of Node, such as `createWriteStream('ada.cast')`, and ends it. Resolves when the session
 * has ended. `signal` ends the recording earlier.
 */
export async function record(session, stream, signal) {
  const since = performance.now()
  // A character of several bytes may come in two parts.
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
  const events = session[Symbol.asyncIterator]()
  signal?.addEventListener('abort', () => void events.return())
  let hasHeader = false
  for await (const event of events) {
    const seconds = (performance.now() - since) / 1000
    let line
    if (event.type === 'output') line = [seconds, 'o', decoder.decode(event.data, { stream: true })]
    // The output after a gap begins with a sequence that resets the screen.
    else if (event.type === 'gap') line = [seconds, 'o', decoder.decode()]
    else if (hasHeader) line = [seconds, 'r', `${event.cols}x${event.rows}`]
    else line = { version: 2, width: event.cols, height: event.rows, timestamp: Math.floor(Date.now() / 1000) }
    hasHeader = true
    // A slow disk must not fill the memory. What it is too slow for is a gap.
    if (!stream.write(`${JSON.stringify(line)}\n`)) await once(stream, 'drain')
  }
  stream.end()
}
