import type { Canvas } from './canvas.ts'
import type { DrawingBudget } from './drawing-budget.ts'

// How long a client waits for its screen.
const LONGEST_MS = 5_000

/** Resolves when a canvas, if any, is drawn, and there is time to go on. Rejects if nobody waits for it any more. */
export type Wait = (canvas?: Canvas) => Promise<void>

/** Lets the screens of one session be drawn for its clients, one after another. */
export class DrawingTurns {
  readonly #budget: DrawingBudget
  #last: Promise<unknown> = Promise.resolve()

  constructor(budget: DrawingBudget) {
    this.#budget = budget
  }

  /** Calls back after all before. Resolves with the result; with nothing if that rejects. */
  take<T>(mayGoOn: () => boolean, draw: (wait: Wait) => Promise<T>): Promise<T | undefined> {
    let isOver = false
    let end: () => void
    const over = new Promise<void>((resolve) => (end = resolve))
    // From now on, whatever those before take.
    const timer = setTimeout(() => {
      isOver = true
      end()
    }, LONGEST_MS)
    let pause: typeof timer | undefined
    const wait: Wait = async (canvas) => {
      for (;;) {
        if (isOver || !mayGoOn()) throw new Error('Nobody waits for this screen any more')
        const ms = this.#budget.wait()
        if (canvas && !canvas.isDrawn) await Promise.race([canvas.drawn(), over])
        else if (ms === 0 && !this.#budget.isTurnOver) return
        else await Promise.race([new Promise((resolve) => (pause = setTimeout(resolve, ms))), over])
      }
    }
    const turn = this.#last
      .then(() => draw(wait))
      .catch(() => undefined)
      .finally(() => {
        clearTimeout(timer)
        clearTimeout(pause)
      })
    this.#last = turn
    return turn
  }
}
