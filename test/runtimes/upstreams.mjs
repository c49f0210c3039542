// The servers of the suite: the releases of the test upstream, and the witness, which tells clients what it observes.
import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { WebSocketServer } from 'ws'

const RELEASES = [
  'terminals@0.0.2',
  'terminals@0.0.3',
  'terminals@0.2.2',
  'open-terminal@0.11',
  'open-terminal@0.14',
  'open-terminal@0.14.5',
]
const KEY = 'sk-runtimes'
// No server listens on this port. fetch allows this port; it blocks others, such as 1 and 9.
const REFUSING = 'http://127.0.0.1:2'
const FLOOD_FRAME_BYTES = 64 * 1024
const FLOOD_FRAMES = 1024

/** A shell that prompts, prints its input and its sizes, and ends at `exit`. */
function shell({ output, exit }) {
  void output('$ ')
  return {
    input(data) {
      void output(data)
      if (new TextDecoder().decode(data) === 'exit\n') exit()
    },
    resize: (cols, rows) => void output(`${rows} rows, ${cols} columns\n`),
  }
}

/** Starts all servers on free ports. The suite needs `urls`. */
export async function startUpstreams(startTestUpstream) {
  const upstreams = await Promise.all(
    RELEASES.map((release) => startTestUpstream({ release, key: KEY, shell, redialDelay: 10 })),
  )
  const witness = await startWitness()
  return {
    urls: {
      key: KEY,
      releases: Object.fromEntries(RELEASES.map((release, index) => [release, upstreams[index].url])),
      witness: witness.url,
      refusing: REFUSING,
      floodFrames: FLOOD_FRAMES,
      floodBytes: FLOOD_FRAMES * FLOOD_FRAME_BYTES,
    },
    /** Returns the sessions that the suite has not ended. */
    remainingSessions: () => upstreams.flatMap(({ sessions }) => sessions),
    close: () => Promise.all([witness, ...upstreams].map((server) => server.close())),
  }
}

/** The sessions of the witness. Each sends other observations to its client. */
const witnessSessions = {
  handshake: ({ say, request }) => say(JSON.stringify({ url: request.url, headers: request.headers })),

  pings({ say, socket }) {
    socket.on('ping', () => say('ping '))
    let heartbeats = 0
    socket.on('message', (data) => {
      if (JSON.parse(data).type === 'ping') say(`heartbeat ${(heartbeats += 1)} `)
    })
  },

  async flood({ socket, state }) {
    state.flooded = 0
    for (let index = 0; index < FLOOD_FRAMES && socket.readyState === socket.OPEN; index += 1) {
      const frame = Buffer.alloc(FLOOD_FRAME_BYTES)
      frame.writeUInt32BE(index)
      await new Promise((sent) => socket.send(frame, sent))
      state.flooded += FLOOD_FRAME_BYTES
      // A client that reads everything must not block the answers to other clients.
      await nextTurn()
    }
  },
  flooded: ({ say, state }) => say(String(state.flooded)),

  closing({ say, socket, state }) {
    state.closed = undefined
    say('open')
    socket.on('close', (code) => (state.closed = code))
  },
  closed: ({ say, state }) => say(String(state.closed)),

  farewell: ({ socket }) => onInput(socket, () => socket.close(4321, 'gewiß')),
  reset: ({ socket, request }) => onInput(socket, () => request.socket.resetAndDestroy()),
}

/** Acts on input of the client. */
function onInput(socket, act) {
  socket.on('message', (_data, isBinary) => isBinary && act())
}

async function startWitness() {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  const state = {}
  server.on('connection', (socket, request) => {
    const say = (text) => socket.send(Buffer.from(text))
    socket.on('error', () => {})
    const { pathname } = new URL(request.url, 'ws://witness')
    void witnessSessions[pathname.split('/').at(-1)]({ say, socket, request, state })
  })
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close() {
      for (const socket of server.clients) socket.terminate()
      return new Promise((closed) => server.close(closed))
    },
  }
}
