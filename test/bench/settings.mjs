// The flags of the benchmark, and what its files share.
import { parseArgs } from 'node:util'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '7' }, only: { type: 'string', default: '' } },
})

export const rounds = Number(values.rounds)
if (!Number.isInteger(rounds) || rounds < 1) throw new RangeError('--rounds must be a whole number from 1')

/** The subjects to measure, or the parts of their names before a hyphen. Empty for all. */
export const only = values.only.split(',').filter(Boolean)

export const KIB = 1024
export const MIB = 1024 * KIB

// Descriptors of a process beside those of its sessions: files, the channel to the parent, REST requests.
const OTHER_DESCRIPTORS = 500

process.report.excludeNetwork = true
const { soft: descriptors } = process.report.getReport().userLimits.open_files

/**
 * Returns `wanted`, or the number of sessions that `ulimit -n` allows if that is less, with this many connections each.
 */
export function fitting(wanted, connectionsEach) {
  if (descriptors === 'unlimited') return wanted
  return Math.min(wanted, Math.floor((descriptors - OTHER_DESCRIPTORS) / connectionsEach))
}

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
