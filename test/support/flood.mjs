// The two ends of a flood. Each runs in a process of its own, so that a test measures only the proxy between them:
//   upstream BYTES FRAME        reports its port, sends READY to the first client, and sends BYTES once it is told to
//   client URL BYTES            reports when it is attached and has stopped reading, and reads again once it is told to
// At the end, both report the number of messages, the number of bytes and the hash of the bytes.
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
    // No two frames in a row are equal, so that the hash shows when frames change places.
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
