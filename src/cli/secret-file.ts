import { readFile, stat } from 'node:fs/promises'
import { errorCode } from '../lib/errors.ts'
import { CommandError } from './flags.ts'
import type { Host } from './host.ts'

/** The permissions of all users but the owner. */
const OTHER_USERS = 0o077

/** Reads the file of a flag. Says so if other users can read it, too. */
export async function readSecretFile(flag: string, file: string, { platform, stderr }: Host): Promise<string> {
  try {
    const text = await readFile(file, 'utf8')
    const stats = await stat(file)
    // Other users cannot read a pipe or a terminal later. Windows does not keep permissions in the mode.
    if (platform !== 'win32' && stats.isFile() && (stats.mode & OTHER_USERS) !== 0) {
      const mode = (stats.mode & 0o777).toString(8).padStart(3, '0')
      const advice = `better: chmod 600 ${file}`
      stderr.write(`terminal-upstream: ${flag} ${file} is open to other users, its mode is ${mode}; ${advice}\n`)
    }
    return text
  } catch (error) {
    throw new CommandError(
      String(errorCode(error)),
      `Cannot read ${flag} ${file}: check that the file exists and that you may read it.`,
    )
  }
}
