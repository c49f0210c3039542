import { spawn } from '@lydell/node-pty'

/** A shell of the test upstream that has a terminal of its own, and so echoes, knows its size and takes Ctrl-C. */
export function shellWithTerminal({ output, exit }) {
  const pty = spawn('sh', ['-i'], {
    name: 'xterm-256color',
    env: { ...process.env, PS1: '$ ', ENV: '' },
    encoding: null,
  })
  pty.onData((chunk) => {
    // No more than the page can show: a flood waits in the shell.
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
