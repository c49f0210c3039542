// A test upstream that runs commands.
import { startTestUpstream } from '../../dist/testing.js'
import { answerCalls, ownOptions } from './processes.mjs'

const upstream = await startTestUpstream(ownOptions())
answerCalls({ url: () => upstream.url })
