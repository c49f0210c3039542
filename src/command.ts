export { runCommand, startCommand } from './command/command.ts'

export type { CommandOptions, CommandOutput, CommandResult, RunningCommand } from './command/types.ts'
