/** Slows down the side that data comes from. */
export interface FlowControl {
  pause(): void
  resume(): void
}

/** Pauses a source when more than `high` bytes wait, and resumes it when no more than half of that wait. */
export class WaterMark {
  /** May change while the source is not paused. */
  high: number
  #source: FlowControl | undefined
  /** Whether the source is paused. */
  paused = false

  constructor(high: number, source?: FlowControl) {
    this.high = high
    this.#source = source
  }

  /** Pauses and resumes another source from now on, which is not paused. */
  connectTo(source: FlowControl): void {
    this.#source = source
    this.paused = false
  }

  /** Takes the number of bytes that wait now. */
  update(held: number): void {
    if (this.paused ? held > this.high / 2 : held <= this.high) return
    this.paused = !this.paused
    if (this.paused) this.#source?.pause()
    else this.#source?.resume()
  }
}
