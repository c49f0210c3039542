// The two ends of a flood, each in a process of its own, so that only what is between them is measured:
//   upstream BYTES FRAME        tells its port, says READY to whoever attaches, and pushes once it is told to
//   client URL BYTES            tells when it is attached and has stopped reading, and reads on once it is told to
// Both tell in the end how many messages, how many bytes and which it was.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { WebSocket, WebSocketServer } from 'ws'

process.on('disconnect', () => process.exit())
const [role, ...args] = process.argv.slice(2)
const hash = createHash('sha256')
let messages = 0
let bytes = 0

function count(data) {
  messages += 1
  bytes += data.length
  hash.update(data)
}

function report() {
  process.send({ messages, bytes, sha256: hash.digest('hex') })
}

if (role === 'upstream') {
  const [total, size] = args.map(Number)
  const random = randomBytes(size + 4096)
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
  server.on('listening', () => process.send(server.address().port))
  const [ws] = await once(server, 'connection')
  ws.send('ready')
  await once(process, 'message')
  while (bytes < total) {
    // Never twice the same, to notice when two have changed places.
    const start = messages % 4096
    const frame = random.subarray(start, start + Math.min(size, total - bytes))
    count(frame)
    if (messages % 16 > 0) ws.send(frame)
    else await new Promise((resolve) => ws.send(frame, resolve))
  }
  report()
} else {
  const [url, total] = args
  const ws = new WebSocket(url, { perMessageDeflate: false })
  await once(ws, 'message')
  ws.pause()
  process.send('stopped')
  await once(process, 'message')
  ws.on('message', (data) => {
    count(data)
    if (bytes === Number(total)) report()
  })
  ws.resume()
}
