// The messages between the launcher (in the host page) and the panel (in the iframe). Both sides
// check the origin and the window that a message comes from.

/** The page that the customer has open. */
export interface Page {
  url: string
  title: string
}

/** How the embedding page wants the chat to look; unset = the site's settings. */
export interface Look {
  color?: string
  theme?: string
  locale?: string
  title?: string
}

/** From the launcher. The first is `init`; the others may follow. */
export type ToPanel =
  | { parley: 1; t: 'init'; page: Page; look: Look; open: boolean }
  | { parley: 1; t: 'page'; page: Page }
  | { parley: 1; t: 'look'; look: Look }
  | { parley: 1; t: 'shown'; open: boolean }

/**
 * From the panel: the number of unread messages while the panel is hidden, that it wants to be
 * hidden, and whether there is a conversation to return to.
 */
export type ToHost =
  | { parley: 1; t: 'unread'; count: number }
  | { parley: 1; t: 'close' }
  | { parley: 1; t: 'active'; on: boolean }
