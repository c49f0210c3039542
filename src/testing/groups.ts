import type { ChildProcess } from 'node:child_process'
import type { Socket } from 'node:net'

// One function for each group, which kills it. Each group would outlive this process.
const killFunctions = new Set<() => void>()

function killAll(): void {
  for (const kill of killFunctions) kill()
}

/** The process group of a child that was started with `detached`. */
export interface ProcessGroup {
  /** Sends a signal to every process of the group, if there is one left. */
  signal(name: NodeJS.Signals): void
  /** Whether a process of the group is left. */
  isAlive(): boolean
  /** Forgets the group: the id can be that of another one. */
  release(): void
}

/** Returns the process group of a child, which is killed with this process, and does not keep it alive. */
export function groupOf(child: ChildProcess): ProcessGroup {
  let isReleased = false
  child.unref()
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- in Node, the pipes are sockets
  for (const pipe of [child.stdin, child.stdout] as Array<Partial<Socket>>) pipe.unref?.()

  function send(name: NodeJS.Signals | 0): boolean {
    try {
      return !isReleased && process.kill(-Number(child.pid), name)
    } catch {
      // The group is empty, or never existed.
      return false
    }
  }
  const kill = (): void => void send('SIGKILL')
  child.once('spawn', () => {
    killFunctions.add(kill)
    // All groups share one listener, because Node warns about the eleventh.
    process.off('exit', killAll)
    process.on('exit', killAll)
  })
  return {
    signal: send,
    isAlive: () => send(0),
    release() {
      isReleased = true
      killFunctions.delete(kill)
    },
  }
}
