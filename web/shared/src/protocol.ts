// Generated from the Go types by gateway/stream/typescript_test.go; run: go generate ./gateway/stream
// Times are RFC 3339 in UTC, durations milliseconds, unless a name says otherwise.

/** Heads of events, by type. */
export interface Heads {
  'consent.changed/1': ConsentChanged;
  'contact.linked/1': ContactLinked;
  'content.rewritten/1': ContentRewritten;
  'conversation.concluded/1': Record<string, never>;
  'conversation.ended/1': Ended;
  'conversation.parked/1': Parked;
  'conversation.started/1': Started;
  'conversation.unparked/1': Unparked;
  'customer.updated/1': Record<string, never>;
  'endpoint.added/1': EndpointAdded;
  'flag.cleared/1': FlagCleared;
  'flag.set/1': FlagSet;
  'inactivity.cancelled/1': Record<string, never>;
  'inactivity.warned/1': InactivityWarned;
  'message.named/1': MessageNamed;
  'message.settled/1': MessageSettled;
  'message.status/1': StatusHead;
  'message/1': MessagePosted;
  'note/1': Note;
  'page.visited/1': Record<string, never>;
  'participant.joined/1': ParticipantJoined;
  'participant.left/1': ParticipantLeft;
  'receipt/1': Receipt;
  'routing.accepted/1': JoinedBy;
  'routing.cancelled/1': RoutingCancelled;
  'routing.declined/1': RoutingDeclined;
  'routing.offered/1': RoutingOffered;
  'routing.requested/1': RoutingRequested;
  'service.assigned/1': Assigned;
  'session.changed/1': SessionChanged;
  'session.command/1': SessionCommand;
  'session.command_failed/1': SessionCommandFailed;
  'session.customer_panel/1': SessionCustomerPanel;
  'session.digits/1': SessionDigits;
  'session.ended/1': SessionEnded;
  'session.leg/1': SessionLeg;
  'session.noted/1': SessionNoted;
  'session.panel/1': SessionPanel;
  'session.recorded/1': SessionRecorded;
  'session.requested/1': SessionRequested;
  'supervisor.joined/1': SupervisorJoined;
  'supervisor.left/1': SupervisorLeft;
  'window.changed/1': WindowChanged;
  'wrapup.ended/1': WrapupEnded;
  'wrapup.started/1': WrapupStarted;
}

/** Bodies of events that have one, by type. */
export interface Bodies {
  'consent.changed/1': ConsentBody;
  'conversation.started/1': StartedBody;
  'customer.updated/1': CustomerBody;
  'endpoint.added/1': EndpointBody;
  'inactivity.warned/1': NoticeBody;
  'message.named/1': NamedBody;
  'message.status/1': StatusBody;
  'message/1': MessageBody;
  'note/1': MessageBody;
  'page.visited/1': PageBody;
  'participant.joined/1': NameBody;
  'service.assigned/1': AssignedBody;
  'session.customer_panel/1': PanelBody;
  'session.digits/1': DigitsBody;
  'session.leg/1': NameBody;
  'session.noted/1': NoticeBody;
  'session.panel/1': PanelBody;
  'session.recorded/1': RecordingBody;
  'supervisor.joined/1': NameBody;
  'wrapup.ended/1': WrapupBody;
}

export type EventType = keyof Heads;

type Body<T extends EventType> = T extends keyof Bodies ? Bodies[T] : undefined;

/** One fact of a conversation. `seq` counts from 1 without holes. */
export type ConversationEvent = {
  [T in EventType]: { seq: number; at: string; type: T; head: Heads[T]; body?: Body<T> | null };
}[EventType];

/** `prev` is the sequence of the event before this one that the reader may see. */
export type EventFrame = ConversationEvent & { t: 'event'; conversation: string; prev: number };

/** Frames to a client. */
export type ServerFrame =
  | EventFrame
  | ({ t: 'ack' } & AckFrame)
  | ({ t: 'agent' } & AgentFrame)
  | ({ t: 'board' } & BoardFrame)
  | ({ t: 'bye' } & ByeFrame)
  | ({ t: 'error' } & ErrorFrame)
  | ({ t: 'joined' } & JoinedFrame)
  | ({ t: 'live' } & ConversationFrame)
  | ({ t: 'offer' } & Offer)
  | ({ t: 'offer_end' } & OfferEndFrame)
  | ({ t: 'parted' } & ConversationFrame)
  | ({ t: 'pong' } & PongFrame)
  | ({ t: 'presence' } & PresenceFrame)
  | ({ t: 'recent' } & RecentFrame)
  | ({ t: 'typing' } & TypingFrame)
  | ({ t: 'welcome' } & WelcomeFrame);

/** Frames from a client but for commands, which are { t: 'cmd', id, cmd } and their fields. */
export type ClientFrame =
  | ({ t: 'board' } & BoardInFrame)
  | ({ t: 'hello' } & HelloFrame)
  | { t: 'ping'; id: string }
  | ({ t: 'typing' } & TypingInFrame)
  | ({ t: 'unwatch' } & UnwatchFrame)
  | ({ t: 'watch' } & WatchFrame);

/** Commands by name, without `t`, `cmd` and `id`. */
export interface Commands {
  accept: OfferCmd;
  cancel_invite: CancelInviteCmd;
  end: EndCmd;
  flag: FlagCmd;
  invite: InviteCmd;
  join: JoinCmd;
  link_contact: LinkContactCmd;
  logout: Record<string, never>;
  mark: MarkCmd;
  not_ready: NotReadyCmd;
  note: NoteCmd;
  ready: Record<string, never>;
  recent_seen: Record<string, never>;
  reject: OfferCmd;
  send: SendCmd;
  settle: SettleCmd;
  supervise: SuperviseCmd;
  text: TextCmd;
  unsupervise: UnsuperviseCmd;
  wrapup: WrapupCmd;
}

export type Ack = { t: 'ack' } & AckFrame;
export type AgentStatus = AgentState['status'];
/** How a conversation belongs into an agent's active list. */
export type Membership = Work['state'];

/** An event as REST answers it. */
export type StoredEvent = ConversationEvent & { prev: number; status?: MessageStatus };

/** What REST routes below /api/v1 take and answer, by method and path: those that are open to agents. */
export interface Routes {
  'POST /login': {
    body: {
      login: string;
      password: string;
      /** For programs: the answer holds a token instead of a cookie */
      bearer?: boolean;
    };
    answer: LoginView;
  };
  'POST /logout': {
    answer: undefined;
  };
  'GET /me': {
    answer: User;
  };
  'POST /me/password': {
    body: {
      old: string;
      new: string;
    };
    answer: undefined;
  };
  'GET /conversations': {
    query: { scope?: 'mine' | 'recent' | 'all'; phase?: ('open' | 'ended' | 'concluded')[]; service?: string; account?: string; contact?: string; agent?: string; cursor?: string; limit?: number };
    answer: {
      conversations: Summary[] | null;
      /** Cursor of the next page; absent on the last one */
      next?: string;
    };
  };
  'GET /conversations/{id}': {
    path: { id: string };
    answer: {
      id: string;
      phase: 'open' | 'ended' | 'concluded';
      /** The state that people see: bot, queued, offered, active, parked, wrapup, ended, concluded */
      display: string;
      /** Id of the plugin */
      channel: string;
      title?: string;
      icon?: string;
      service?: ServiceRef;
      account: AccountRef;
      contact?: string;
      customer: CustomerRef;
      /** The customer's telephone number, where the channel has numbers */
      address?: string;
      /** Who keeps it while it is parked */
      owner?: AgentRef;
      /** Messages that wait in the reader's own Recent */
      unread?: number;
      /** Who takes or took part */
      agents: AgentRef[] | null;
      flagged: boolean;
      started_at: string;
      ended_at?: string;
      end_cause?: string;
      /** Sequence of the last event that the reader may see */
      seq: number;
      /** What an agent's screen needs beside the events */
      info: ConversationInfo;
    };
  };
  'GET /conversations/{id}/events': {
    path: { id: string };
    query: { after?: number; limit?: number };
    answer: {
      events: StoredEvent[] | null;
    };
  };
  'POST /conversations/{id}/messages': {
    path: { id: string };
    body: {
      /** A retry under the same id is the same message */
      client_id: string;
      parts: Part[] | null;
      reply_to?: string;
    };
    answer: {
      message: string;
      seq: number;
    };
  };
  'POST /conversations/{id}/grants': {
    path: { id: string };
    body: {
      /** What is opened, in the plugin's words */
      purpose: string;
      /** Default: the conversation's channel */
      plugin?: string;
    };
    answer: {
      /** Single use: header Parley-Grant, first frame or postMessage, never in a URL */
      grant: string;
      expires: string;
    };
  };
  'GET /conversations/{id}/tools': {
    path: { id: string };
    answer: {
      /** What the conversation's service has and the customer's channel can do */
      tools: ToolView[] | null;
      /** Live sessions of tools */
      sessions: ToolSessionView[] | null;
    };
  };
  'POST /conversations/{id}/tools': {
    path: { id: string };
    body: {
      /** Of the tool */
      account: string;
      /** JSON object for the tool; at most 64 KiB */
      arguments?: unknown;
      /** A retry under the same id is the same session */
      client_id?: string;
    };
    answer: {
      session: string;
      /** Sequence of the last event about it; 0: nothing changed */
      seq: number;
      /** Absent: unchanged */
      panel?: ToolPanelView;
      /** What else is to happen on the agent's screen, each with one member. insert_text goes into the composer and is never sent by itself */
      effects: Effect[] | null;
    };
  };
  'GET /conversations/{id}/tools/{session}': {
    path: { id: string; session: string };
    answer: ToolPanelView;
  };
  'POST /conversations/{id}/tools/{session}/acts': {
    path: { id: string; session: string };
    body: {
      /** A retry under the same id is the same act */
      act?: string;
      /** Of the button or form that was used */
      action: string;
      /** JSON object of the fields; at most 64 KiB */
      values?: unknown;
      /** Of the panel that the agent saw */
      revision?: number;
    };
    answer: {
      session: string;
      /** Sequence of the last event about it; 0: nothing changed */
      seq: number;
      /** Absent: unchanged */
      panel?: ToolPanelView;
      /** What else is to happen on the agent's screen, each with one member. insert_text goes into the composer and is never sent by itself */
      effects: Effect[] | null;
    };
  };
  'POST /conversations/{id}/tools/{session}/end': {
    path: { id: string; session: string };
    answer: {
      seq: number;
    };
  };
  'GET /conversations/{id}/calls': {
    path: { id: string };
    answer: {
      /** Live calls */
      calls: CallView[] | null;
    };
  };
  'POST /conversations/{id}/calls/{session}/commands': {
    path: { id: string; session: string };
    body: CallCommandBody;
    answer: {
      /** By which events name it */
      command: string;
      /** Sequence of the event about it */
      seq: number;
    };
  };
  'DELETE /conversations/{id}/supervision': {
    path: { id: string };
    answer: {
      /** Sequence of the event about it; 0 if it was so already */
      seq: number;
    };
  };
  'POST /conversations/{id}/notes': {
    path: { id: string };
    body: {
      /** A retry under the same id is the same note */
      client_id: string;
      /** Text and files */
      parts: Part[] | null;
    };
    answer: {
      message: string;
      seq: number;
    };
  };
  'GET /senders': {
    answer: {
      senders: Sender[] | null;
    };
  };
  'GET /accounts/{id}/templates': {
    path: { id: string };
    answer: {
      /** As the provider has approved them; none are known until the account's plugin has told of them */
      templates: ProviderTemplate[] | null;
    };
  };
  'POST /conversations/{id}/files': {
    path: { id: string };
    answer: UploadedFile;
  };
  'GET /files/{id}/url': {
    path: { id: string };
    query: { thumbnail?: boolean };
    answer: {
      /** Readable by whoever has it */
      url: string;
      /** Not before this */
      expires: string;
    };
  };
  'GET /directory': {
    answer: {
      agents: Invitee[] | null;
      services: ServiceRef[] | null;
    };
  };
  'GET /contacts': {
    query: { q?: string; address?: string; limit?: number };
    answer: {
      items: Contact[] | null;
    };
  };
  'GET /contacts/{id}': {
    path: { id: string };
    answer: Contact;
  };
  'POST /contacts': {
    body: ContactInput;
    answer: Contact;
  };
  'PUT /contacts/{id}': {
    path: { id: string };
    body: ContactInput;
    answer: Contact;
  };
  'GET /teams': {
    answer: {
      items: Team[] | null;
    };
  };
  'GET /teams/{id}': {
    path: { id: string };
    answer: Team;
  };
  'GET /skills': {
    answer: {
      items: Skill[] | null;
    };
  };
  'GET /skills/{id}': {
    path: { id: string };
    answer: Skill;
  };
  'GET /services': {
    answer: {
      items: ServiceRecord[] | null;
    };
  };
  'GET /services/{id}': {
    path: { id: string };
    answer: ServiceRecord;
  };
}

export interface AccountRef {
  id: string;
  name: string;
}

export interface AckFrame {
  id: string;
  ok: boolean;
  conversation?: string;
  message?: string;
  request?: string;
  seq?: number;
  error?: WireError;
}

export interface AgentFrame {
  agent: AgentState;
}

export interface AgentRef {
  id: string;
  name: string;
}

export interface AgentState {
  seq: number;
  status: 'logged_out' | 'not_ready' | 'ready' | 'busy' | 'acw';
  reason: string;
  pending: string;
  since?: string;
  ready_after_work: boolean;
  offers: string[] | null;
  conversations: Work[] | null;
}

export interface Answer {
  choice: string;
  title?: string;
}

export interface Assigned {
  service: string;
  rules: Rules;
}

export interface AssignedBody {
  name: string;
}

export interface Author {
  kind: AuthorKind;
  agent?: string;
  bot?: string;
}

export type AuthorKind =
  | 'customer'
  | 'agent'
  | 'supervisor'
  | 'bot'
  | 'system'
  | 'outside';

export interface Board {
  at: string;
  agents: BoardAgent[] | null;
  queues: BoardQueue[] | null;
}

export interface BoardAgent {
  id: string;
  name: string;
  status: 'logged_out' | 'not_ready' | 'ready' | 'busy' | 'acw';
  /** Why Not Ready; empty otherwise */
  reason: string;
  /** Not Ready when the present work ends */
  pending: boolean;
  /** Of the status */
  since: string;
  /** Conversations joined */
  active: number;
  offers: number;
  wrapup: number;
  /** Percent of the capacity in use */
  load: number;
}

export interface BoardFrame {
  board: Board;
}

export interface BoardInFrame {
  on: boolean;
}

export interface BoardQueue {
  service: string;
  name: string;
  waiting: number;
  /** Since when the first waits; null when nobody does */
  oldest_since: string | null;
  offered: number;
  /** Conversations with an agent */
  active: number;
  agents_ready: number;
  /** Agents logged in who serve it */
  agents_served: number;
}

export interface ByeFrame {
  reason: string;
  retry_ms: number;
}

export interface CallCommandBody {
  /** A retry under the same id is the same command */
  client_id?: string;
  /** Take a call that has come in */
  answer?: CallLeg;
  /** Put a leg on hold, or take it back */
  hold?: CallSwitch;
  /** Take a leg's sound away from the others, or give it back */
  mute?: CallSwitch;
  /** Add a leg's picture, or take it away */
  video?: CallSwitch;
  /** Send DTMF digits to a leg */
  digits?: CallDigits;
  /** Call somebody outside: a new leg */
  dial?: CallDial;
  /** Hand a leg to somebody else at the provider */
  transfer?: CallTransfer;
  /** Play a prompt */
  play?: CallPlay;
  /** Stop what plays */
  stop?: CallMaybeLeg;
  /** Record the call */
  record?: CallRecord;
  /** End a leg, or the whole call */
  hang_up?: CallMaybeLeg;
}

export interface CallDial {
  /** A number with its country, such as +15551234567, or a SIP address */
  to: string;
  /** Caller id; absent: the account's */
  from?: string;
  /** How long it may ring; 0: 60,000 */
  ring_ms?: number;
  video?: boolean;
}

export interface CallDigits {
  leg: string;
  digits: string;
  /** How long each tone lasts; 0: 100 */
  tone_ms?: number;
}

export interface CallLeg {
  leg: string;
}

export interface CallMaybeLeg {
  /** Absent: the whole call */
  leg?: string;
}

export interface CallPlay {
  /** Absent: all */
  leg?: string;
  /** Name of one of the account's */
  prompt: string;
  loop?: boolean;
  /** How many digits to collect; 0: none */
  digits?: number;
}

export interface CallRecord {
  action: 'start' | 'pause' | 'resume' | 'stop';
}

export interface CallSwitch {
  leg: string;
  on: boolean;
}

export interface CallTransfer {
  leg: string;
  /** Blind, to a number or SIP address */
  to?: string;
  /** Attended, to who is on this leg. Either this or to */
  attended_leg?: string;
}

export interface CallView {
  id: string;
  account: string;
  plugin: string;
  state: 'requested' | 'waiting' | 'active';
  /** What the reader may have the call do: names of members of a command. None for those who only look */
  commands: string[] | null;
  /** Ended ones included, as far as the reader may know of them */
  legs: LegView[] | null;
}

export interface CancelInviteCmd {
  conversation: string;
  request: string;
}

export interface Capabilities {
  text?: boolean;
  rich_text?: boolean;
  files?: boolean;
  location?: boolean;
  choices?: boolean;
  template?: boolean;
  reaction?: boolean;
  edit?: boolean;
  revoke?: boolean;
  typing?: boolean;
  read?: boolean;
  receipts?: boolean;
  links?: boolean;
  page?: boolean;
  panels?: boolean;
  calls?: boolean;
  outbound_first?: boolean;
  reply_window?: number;
  counter?: string;
  max_length?: number;
  offer_title?: string;
  medium?: string;
  icon?: string;
  address_kind?: string;
  connected?: boolean;
  part_limits?: PartLimit[];
  quotes?: boolean;
  captions?: boolean;
}

export interface Choice {
  id: string;
  title: string;
  description?: string;
}

export interface Choices {
  text: string;
  options: Choice[] | null;
}

export interface ConsentBody {
  keyword?: string;
}

export interface ConsentChanged {
  out: boolean;
}

export interface Contact {
  id: string;
  name: string;
  first_name?: string;
  last_name?: string;
  company?: string;
  addresses?: string[];
  notes?: string;
  attributes?: Record<string, string>;
}

export interface ContactCard {
  name: string;
  phones?: string[];
  emails?: string[];
}

export interface ContactInput {
  name?: string;
  first_name?: string;
  last_name?: string;
  company?: string;
  /** Telephone numbers with plus, mail addresses, or scheme:address */
  addresses?: string[];
  notes?: string;
  attributes?: Record<string, string>;
}

export interface ContactLinked {
  contact: string;
  by: Author;
}

export interface ContentRewritten {
  by: Author;
  seqs: number[] | null;
  reason: string;
  audience: string;
}

export interface ConversationFrame {
  conversation: string;
}

export interface ConversationInfo {
  channel: string;
  icon: string;
  title: string;
  service?: ServiceInfo;
  capabilities: Capabilities;
  account: AccountRef;
  reply_window?: ReplyWindowView;
}

export type ConversationKind =
  | 'inbound'
  | 'outbound'
  | 'internal';

export interface CustomerBody {
  name?: string;
  first_name?: string;
  last_name?: string;
  email?: string;
  phone?: string;
  attributes?: Record<string, string>;
}

export interface CustomerRef {
  name: string;
}

export interface Detail {
  /** Path of the field in the request */
  where: string;
  /** What is wrong with it */
  problem: string;
}

export interface DigitsBody {
  digits: string;
}

export interface Disposition {
  code: string;
  name: string;
}

export interface Edit {
  message: string;
  text: string;
  provider_id?: string;
  provider_ids?: string[];
}

export interface Effect {
  insert_text?: string;
  open_url?: string;
  toast?: string;
  end?: boolean;
}

export interface EndCmd {
  conversation: string;
  queue?: boolean;
}

export interface Ended {
  by: Author;
  cause: string;
}

export interface Endpoint {
  account: string;
  thread: string;
}

export interface EndpointAdded {
  channel: string;
  endpoint: Endpoint;
  capabilities: Capabilities;
}

export interface EndpointBody {
  address: string;
  thread: string;
}

export interface ErrorFrame {
  conversation?: string;
  error: WireError;
}

export interface FileRef {
  blob: string;
  name: string;
  mime: string;
  size: number;
  width?: number;
  height?: number;
  caption?: string;
}

export interface FlagCleared {
  by: string;
}

export interface FlagCmd {
  conversation: string;
  on: boolean;
}

export interface FlagSet {
  by: string;
}

export interface HelloFrame {
  cursors: Record<string, number> | null;
}

export interface InactivityWarned {
  ends_at?: string;
}

export interface InviteCmd {
  conversation: string;
  target: Target;
  transfer?: boolean;
}

export interface Invitee {
  id: string;
  name: string;
  status: 'logged_out' | 'not_ready' | 'ready' | 'busy' | 'acw';
}

export interface JoinCmd {
  conversation: string;
}

export interface JoinedBy {
  agent: string;
  request: string;
  offer: string;
}

export interface JoinedFrame {
  conversation: string;
  state: 'joined' | 'wrapup' | 'parked';
  info: ConversationInfo;
}

export interface Leg {
  id: string;
  party: Author;
  kind: string;
  state: string;
  audio?: boolean;
  video?: boolean;
  muted?: boolean;
  cause?: string;
  code?: string;
  audience?: string;
}

export interface LegView {
  id: string;
  /** Whose leg it is; outside: somebody who is no customer */
  party: 'customer' | 'agent' | 'supervisor' | 'bot' | 'system' | 'outside';
  /** Of an agent's or supervisor's leg */
  agent?: AgentRef;
  kind: 'sip' | 'web';
  state: 'dialling' | 'ringing' | 'early' | 'up' | 'held' | 'ended';
  audio: boolean;
  video: boolean;
  muted: boolean;
  /** Why it ended */
  cause?: string;
  /** The provider's code for its end */
  code?: string;
}

export interface LinkContactCmd {
  conversation: string;
  contact: string;
}

export interface Location {
  latitude: number;
  longitude: number;
  name?: string;
  address?: string;
}

export interface LoginView {
  user: User;
  /** When the session ends at the latest */
  expires: string;
  /** Of a bearer session: send it as Authorization: Bearer TOKEN */
  token?: string;
}

export interface MarkCmd {
  conversation: string;
  delivered?: number;
  read?: number;
}

export interface MessageBody {
  parts: Part[] | null;
  name?: string;
  provider_ids?: string[];
}

export interface MessageNamed {
  message: string;
  audience: string;
  ignorable: boolean;
}

export interface MessagePosted {
  id: string;
  author: Author;
  client_id?: string;
  kinds: PartKind[] | null;
  blobs?: string[];
  reply_to?: string;
  endpoint?: number;
  provider_at?: string;
  received_at?: string;
}

export interface MessageSettled {
  message: string;
  outcome: SettleOutcome;
  by: string;
}

export type MessageStatus =
  | 'accepted'
  | 'unknown'
  | 'sent'
  | 'failed'
  | 'delivered'
  | 'read';

export interface NameBody {
  name: string;
}

export interface NamedBody {
  provider_ids: string[] | null;
}

export interface NotReadyCmd {
  reason: string;
}

export interface Note {
  id: string;
  author: Author;
  client_id?: string;
  kinds: PartKind[] | null;
  blobs?: string[];
}

export interface NoteCmd {
  conversation: string;
  client_id: string;
  parts: Part[] | null;
}

export interface NoticeBody {
  text: string;
}

export interface Offer {
  offer: string;
  conversation: string;
  request: string;
  title: string;
  icon: string;
  channel: string;
  service: ServiceRef | null;
  customer: CustomerRef;
  address?: string;
  queued_ms: number;
  waiting_since: string;
  offered_at: string;
  expires_at?: string;
  invited_by: AgentRef | null;
}

export interface OfferCmd {
  offer: string;
}

export interface OfferEndFrame {
  offer: string;
  cause: string;
}

export interface PageBody {
  url: string;
  title?: string;
}

export interface PanelBody {
  blocks: unknown;
}

export interface Parked {
  owner: string;
  cause: string;
}

export interface Part {
  kind: PartKind;
  text?: string;
  html?: string;
  file?: FileRef;
  location?: Location;
  contact?: ContactCard;
  choices?: Choices;
  answer?: Answer;
  template?: Template;
  reaction?: Reaction;
  edit?: Edit;
  revoke?: Revoke;
  raw?: Raw;
}

export type PartKind =
  | 'text'
  | 'rich_text'
  | 'file'
  | 'location'
  | 'contact'
  | 'choices'
  | 'answer'
  | 'template'
  | 'reaction'
  | 'edit'
  | 'revoke'
  | 'system'
  | 'unsupported';

export interface PartLimit {
  kind: string;
  max_length?: number;
  max_bytes?: number;
  max_count?: number;
  mimes?: string[];
  max_title?: number;
}

export interface ParticipantJoined {
  who: Author;
}

export interface ParticipantLeft {
  who: Author;
  cause: string;
}

export interface Pin {
  node?: string;
  instance?: string;
}

export interface PongFrame {
  id: string;
}

export interface PresenceFrame {
  conversation: string;
  on: boolean;
}

export interface Problem {
  /** Text of the HTTP status */
  title: string;
  /** HTTP status */
  status: number;
  /** What went wrong, from a published list that only grows */
  code: string;
  /** The same for people */
  detail: string;
  /** What is wrong with which field */
  errors?: Detail[];
}

export interface ProviderTemplate {
  name: string;
  language: string;
  category?: string;
  header?: string;
  header_kind?: string;
  body: string;
  footer?: string;
  buttons?: TemplateButton[];
  status: string;
}

export interface Raw {
  kind: string;
  data?: unknown;
}

export interface Reaction {
  message: string;
  emoji?: string;
  provider_id?: string;
  provider_ids?: string[];
}

export interface Receipt {
  by: Author;
  delivered?: number;
  read?: number;
}

export interface RecentFrame {
  unread: number;
  items: RecentItem[] | null;
}

export interface RecentItem {
  conversation: string;
  unread: number;
  at: string;
}

export interface RecordingBody {
  file: FileRef;
}

export interface ReplyWindowView {
  expires?: string;
}

export interface Revoke {
  message: string;
  provider_id?: string;
  provider_ids?: string[];
}

export type Role =
  | 'agent'
  | 'supervisor'
  | 'admin';

export interface RoutingCancelled {
  request: string;
  offer?: string;
  agent?: string;
  cause: string;
}

export interface RoutingDeclined {
  request: string;
  offer: string;
  agent: string;
  cause: string;
}

export interface RoutingOffered {
  request: string;
  offer: string;
  agent: string;
  expires_at?: string;
  invite?: boolean;
  epoch?: number;
}

export interface RoutingRequested {
  request: string;
  target: Target;
  cause: string;
  invited_by?: string;
  waiting_since: string;
  declined_by?: string[];
  rules?: Rules;
}

export interface Rules {
  offer_timeout?: number;
  inactivity_warn?: number;
  inactivity_end?: number;
  unanswered_end?: number;
  wrapup_limit?: number;
  requeue_after?: number;
  park_after?: number;
  owner_first?: number;
  parked_end?: number;
  disposition_needed?: boolean;
  medium?: string;
  share?: number;
  spare?: number;
  skills?: string;
  bot_silence?: number;
  priority?: number;
}

export interface SendCmd {
  conversation: string;
  client_id: string;
  parts: Part[] | null;
  reply_to?: string;
}

export interface Sender {
  /** Whose account it is; null: one's own direct number */
  service: ServiceRef | null;
  account: AccountRef;
  /** Id of the plugin */
  channel: string;
  icon?: string;
  /** Form of the address to write to: phone (E.164) */
  address_kind: string;
  /** How lengths are counted: gsm7, utf16 or none */
  counter?: string;
  /** Of one message, in the counter's units; absent: no limit */
  max_length?: number;
  /** May carry attachments */
  files: boolean;
}

export interface ServiceInfo {
  id: string;
  name: string;
  dispositions: Disposition[] | null;
  disposition_needed: boolean;
  wrapup: number;
  features: string[] | null;
}

export interface ServiceRecord {
  id: string;
  name: string;
  skills?: string[];
  rules: ServiceRules;
  media?: Record<string, ServiceRules>;
  dispositions?: Disposition[];
  features?: string[];
  texts?: Texts;
  teams?: string[];
  users?: string[];
  tools?: ServiceTool[];
  bot?: string;
}

export interface ServiceRef {
  id: string;
  name: string;
}

export interface ServiceRules {
  offer_timeout?: number;
  /** -1 is off, too */
  inactivity_warn?: number;
  inactivity_end?: number;
  unanswered_end?: number;
  /** 0 is no after-call work, -1 without limit */
  wrapup_limit?: number;
  requeue_after?: number;
  park_after?: number;
  owner_first?: number;
  /** -1 is off, too */
  parked_end?: number;
  /** -1 is off, too */
  bot_silence?: number;
  disposition_needed?: boolean;
  /** The capacity class; chat, sms and messaging are of the class chat by default */
  medium?: string;
  share?: number;
  spare?: number;
  skills?: string;
  priority?: number;
}

export interface ServiceTool {
  account: string;
  settings?: unknown;
}

export interface SessionChanged {
  session: string;
  state: string;
  pin?: Pin;
  audience: string;
}

export interface SessionCommand {
  session: string;
  command: string;
  what: string;
  leg?: string;
  by: Author;
  audience?: string;
}

export interface SessionCommandFailed {
  session: string;
  command: string;
  what: string;
  kind?: string;
  code?: string;
  audience?: string;
}

export interface SessionCustomerPanel {
  session: string;
  revision: number;
}

export interface SessionDigits {
  session: string;
  leg?: string;
  play?: string;
  cancelled?: boolean;
}

export interface SessionEnded {
  session: string;
  kind: string;
  by: Author;
  cause: string;
  code?: string;
  audience: string;
}

export interface SessionLeg {
  session: string;
  leg: Leg;
}

export interface SessionNoted {
  session: string;
  revision?: number;
  audience: string;
}

export interface SessionPanel {
  session: string;
  revision: number;
}

export interface SessionRecorded {
  session: string;
  blob: string;
  begun?: string;
  duration?: number;
}

export interface SessionRequested {
  session: string;
  kind: string;
  plugin: string;
  account?: string;
  pin?: Pin;
  by: Author;
  for?: Author;
  audience: string;
}

export interface SettleCmd {
  conversation: string;
  message: string;
  outcome: SettleOutcome;
}

export type SettleOutcome =
  | 'sent'
  | 'failed'
  | 'resend';

export interface Skill {
  name: string;
  title?: string;
}

export interface Started {
  id: string;
  kind: ConversationKind;
  channel: string;
  endpoint: Endpoint;
  contact?: string;
  capabilities: Capabilities;
  provider_at?: string;
  received_at?: string;
}

export interface StartedBody {
  address: string;
  thread: string;
  name?: string;
  first_name?: string;
  last_name?: string;
  email?: string;
  phone?: string;
  locale?: string;
  subject?: string;
  page?: PageBody;
  attributes?: Record<string, string>;
}

export interface StatusBody {
  text?: string;
  provider_ids?: string[];
}

export interface StatusHead {
  message: string;
  status: MessageStatus;
  kind?: string;
  code?: string;
}

export interface Summary {
  id: string;
  phase: 'open' | 'ended' | 'concluded';
  /** The state that people see: bot, queued, offered, active, parked, wrapup, ended, concluded */
  display: string;
  /** Id of the plugin */
  channel: string;
  title?: string;
  icon?: string;
  service?: ServiceRef;
  account: AccountRef;
  contact?: string;
  customer: CustomerRef;
  /** The customer's telephone number, where the channel has numbers */
  address?: string;
  /** Who keeps it while it is parked */
  owner?: AgentRef;
  /** Messages that wait in the reader's own Recent */
  unread?: number;
  /** Who takes or took part */
  agents: AgentRef[] | null;
  flagged: boolean;
  started_at: string;
  ended_at?: string;
  end_cause?: string;
  /** Sequence of the last event that the reader may see */
  seq: number;
}

export interface SuperviseCmd {
  conversation: string;
  mode: string;
}

export interface SupervisorJoined {
  agent: string;
  mode: string;
  audience: string;
}

export interface SupervisorLeft {
  agent: string;
  mode: string;
  cause: string;
  audience: string;
}

export interface Target {
  kind: TargetKind;
  service?: string;
  agent?: string;
}

export type TargetKind =
  | 'service'
  | 'agent'
  | 'directory';

export interface Team {
  id: string;
  name: string;
}

export interface Template {
  name: string;
  language: string;
  values?: string[];
  placed?: TemplateValue[];
  rendered?: string;
}

export interface TemplateButton {
  kind: string;
  title: string;
  value?: string;
}

export interface TemplateValue {
  place: string;
  index?: number;
  name?: string;
  text?: string;
  file?: FileRef;
  location?: Location;
}

export interface TextCmd {
  service?: string;
  account?: string;
  to: string;
  parts?: Part[];
  client_id?: string;
}

export interface Texts {
  inactivity_warning?: string;
}

export interface ToolPanelView {
  revision: number;
  /** Blocks of the plugin contract, each with a type; none: nothing is shown */
  blocks: unknown[] | null;
}

export interface ToolSessionView {
  id: string;
  account: string;
  plugin: string;
  state: 'requested' | 'waiting' | 'active';
  /** Of the panel; 0: there is none */
  revision: number;
}

export interface ToolView {
  /** By which the tool is started */
  account: string;
  plugin: string;
  /** Of the account */
  name: string;
  /** For people */
  title: string;
  icon?: string;
  /** Nothing happens before the customer has accepted */
  consent: boolean;
  /** At most one session at a time */
  single: boolean;
  /** An agent may start it now */
  may_start: boolean;
}

export interface TypingFrame {
  conversation: string;
  on: boolean;
  who: Author;
  name: string;
}

export interface TypingInFrame {
  conversation: string;
  on: boolean;
}

export interface Unparked {
  owner: string;
  cause: string;
}

export interface UnsuperviseCmd {
  conversation: string;
}

export interface UnwatchFrame {
  conversation: string;
}

export interface UploadedFile {
  file: FileRef;
}

export interface User {
  id: string;
  login: string;
  name: string;
  role: Role;
  privileges: string[] | null;
}

export interface WatchFrame {
  conversation: string;
  after: number;
}

export interface WelcomeFrame {
  user: User;
  time: string;
  version: string;
}

export interface WindowChanged {
  endpoint?: number;
  expires?: string;
  provider_at?: string;
}

export interface WireError {
  code: string;
  message: string;
  conversation?: string;
  owner?: AgentRef | null;
  joinable?: boolean;
}

export interface Work {
  conversation: string;
  state: 'joined' | 'wrapup' | 'parked';
  wrapup_until?: string;
}

export interface WrapupBody {
  notes?: string;
}

export interface WrapupCmd {
  conversation: string;
  disposition?: string;
  notes?: string;
}

export interface WrapupEnded {
  agent: string;
  disposition?: string;
  cause: string;
}

export interface WrapupStarted {
  agent: string;
  until?: string;
}
