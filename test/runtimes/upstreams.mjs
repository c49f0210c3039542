// What the suite talks to: the releases of the test upstream, and a server that tells its clients what it sees of them.
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
// Nothing listens on this port, and fetch does not block it, as it does with 1 and 9.
const REFUSING = 'http://127.0.0.1:2'
const FLOOD_FRAME = 64 * 1024
const FLOOD_FRAMES = 1024

/** Prompts, prints what is typed and the sizes that it is told of, and ends with `exit`. */
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

/** Starts everything on free ports; `urls` is what the suite has to know. */
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
      floodBytes: FLOOD_FRAMES * FLOOD_FRAME,
    },
    /** The sessions that nobody has ended. */
    left: () => upstreams.flatMap(({ sessions }) => sessions),
    close: () => Promise.all([witness, ...upstreams].map((server) => server.close())),
  }
}

/** Has the session say what it sees; each session of the witness sees something else. */
const sights = {
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
      const frame = Buffer.alloc(FLOOD_FRAME)
      frame.writeUInt32BE(index)
      await new Promise((sent) => socket.send(frame, sent))
      state.flooded += FLOOD_FRAME
      // What takes all of it must not keep the others from being answered.
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

  farewell: ({ socket }) => onKey(socket, () => socket.close(4321, 'gewiß')),
  reset: ({ socket, request }) => onKey(socket, () => request.socket.resetAndDestroy()),
}

function onKey(socket, act) {
  socket.on('message', (_data, isBinary) => isBinary && act())
}

async function startWitness() {
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0 })
  const state = {}
  server.on('connection', (socket, request) => {
    const say = (text, said) => socket.send(Buffer.from(text), said)
    socket.on('error', () => {})
    const { pathname } = new URL(request.url, 'ws://witness')
    void sights[pathname.split('/').at(-1)]({ say, socket, request, state })
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
