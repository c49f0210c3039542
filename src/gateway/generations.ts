/**
 * The clients of a session, one after another (PROTOCOL 8.6). A client that comes back hands back the generation that it was
 * told last; one that has none begins the next. So a page that wakes does not take back what its user has taken over
 * elsewhere.
 */
export class Generations {
  #current = 0

  /** What a client that has attached is told. */
  get current(): string {
    return String(this.#current)
  }

  /** Whether another client has come since this was handed out. */
  isOld(generation: string | undefined): boolean {
    return generation !== undefined && generation !== this.current
  }

  /** Takes a client in. Returns `false` if another one has come since. */
  enter(generation: string | undefined): boolean {
    if (this.isOld(generation)) return false
    if (generation === undefined) this.#current += 1
    return true
  }
}
