// The panel's end of the messages between it and the page around it.
import type { ToHost, ToPanel } from '../bridge'

/** Listens to the launcher of an allowed page; sends nothing before the launcher has. */
export class Host {
  private origin = ''
  constructor(
    private readonly allowed: string[],
    private readonly on: (m: ToPanel) => void,
    private readonly self: Window = window,
  ) {
    self.addEventListener('message', (e: MessageEvent<ToPanel>) => {
      if (e.source !== self.parent || e.data?.parley !== 1) return
      if (!this.allowed.includes(e.origin) && !this.allowed.includes('*')) return
      this.origin = e.origin
      this.on(e.data)
    })
  }

  send(m: ToHost): void {
    if (this.origin) this.self.parent.postMessage(m, this.origin)
  }
}
