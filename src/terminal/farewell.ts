import { END_OF_SHELL, HEARTBEAT } from '../upstream/protocol.ts'
import type { UpstreamSocket } from './socket.ts'

// An orchestrator notices the end of its connection when it has something to pass on (PROTOCOL 6.5).
const HEARTBEAT_INTERVAL_MS = 20
const LONGEST_FAREWELL_MS = 1_000

/**
 * Ends the shell over a connection that an orchestrator passes on, so that the orchestrator closes its own connection
 * to the container, too. A DELETE alone leaves that connection and a thread of the container behind (PROTOCOL 6.7).
 *
 * Calls `onDone` when the server has closed the connection, or should have. Returns a function that stops it.
 */
export function endShell(socket: UpstreamSocket, onDone: () => void): () => void {
  const late = performance.now() + LONGEST_FAREWELL_MS
  socket.resume()
  socket.sendText(END_OF_SHELL)
  const timer = setInterval(() => {
    if (socket.isOpen() && performance.now() < late) return socket.sendText(HEARTBEAT)
    clearInterval(timer)
    onDone()
  }, HEARTBEAT_INTERVAL_MS)
  return () => clearInterval(timer)
}
