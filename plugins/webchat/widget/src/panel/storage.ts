// What the browser stores: the visitor's token and the last conversation for each site, and unsent
// messages for each tab. Nothing is written before the customer starts a chat. Where storage is
// refused the chat lasts as long as the page.

export interface Keep {
  get(name: string): string
  set(name: string, value: string): void
}

export function keep(storage: () => Storage, prefix: string): Keep {
  const memory = new Map<string, string>()
  const key = (name: string) => `${prefix}:${name}`
  return {
    get(name) {
      try {
        return storage().getItem(key(name)) ?? memory.get(name) ?? ''
      } catch {
        return memory.get(name) ?? ''
      }
    },
    set(name, value) {
      memory.set(name, value)
      try {
        if (value) storage().setItem(key(name), value)
        else storage().removeItem(key(name))
      } catch {}
    },
  }
}
