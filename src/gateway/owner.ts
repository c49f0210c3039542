/** The owner of a session: only a client with the same owner finds it. */
export interface Owner {
  readonly base: string
  readonly userId: string
  readonly chatId: string | undefined
}

export function isSameUser(one: Owner, other: Owner): boolean {
  return one.base === other.base && one.userId === other.userId
}

export function isSameChat(one: Owner, other: Owner): boolean {
  return one.base === other.base && one.chatId === other.chatId
}

/** Whether a client may use a session of the owner. One with a chat is found only with this chat. */
export function mayUse(client: Owner, owner: Owner): boolean {
  return isSameUser(client, owner) && (owner.chatId === undefined || owner.chatId === client.chatId)
}

/** Returns a text that is the same for the same user of the same upstream only. */
export function keyOf({ base, userId }: Owner): string {
  return JSON.stringify([base, userId])
}
