import { spawn } from '@lydell/node-pty'

/** A shell of the test upstream on a PTY: it echoes, knows its size and handles Ctrl-C. */
export function shellWithTerminal({ output, exit }) {
  const pty = spawn('sh', ['-i'], {
    name: 'xterm-256color',
    env: { ...process.env, PS1: '$ ', ENV: '' },
    encoding: null,
  })
  pty.onData((chunk) => {
    // Reads no faster than the page shows the output, so that a flood waits in the shell.
    pty.pause()
    void output(chunk).then(() => pty.resume())
  })
  pty.onExit(exit)
  return {
    input: (data) => pty.write(Buffer.from(data)),
    resize: (cols, rows) => pty.resize(Math.max(cols, 1), Math.max(rows, 1)),
    kill: () => pty.kill('SIGHUP'),
  }
}
