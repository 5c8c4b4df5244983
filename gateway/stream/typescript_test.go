package stream

import (
	"flag"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/api"
	"github.com/parley-gateway/parley/internal/typescript"
)

// This test writes the TypeScript types of front ends: what the agents' socket and the desktop's
// routes send and accept, from the Go types that are encoded and decoded, so that nobody copies
// them by hand. The types of routes come from the Go types of which the OpenAPI description
// is made, and not from it, because that cannot tell null from absent where a field is an object.

var update = flag.Bool("update", false, "write the generated file")

const typescriptFile = "../../web/shared/src/protocol.ts"

// TestTypeScript: the committed TypeScript is what the Go types give.
func TestTypeScript(t *testing.T) {
	if err := typescript.Keep(typescriptFile, protocol(), *update); err != nil {
		t.Errorf("%v; run: go generate ./gateway/stream", err)
	}
}

// TestTypeScriptKnowsAll: the tables below list every command and event type.
func TestTypeScriptKnowsAll(t *testing.T) {
	if got, want := slices.Sorted(maps.Keys(typedCommands())), CommandNames(); !slices.Equal(got, want) {
		t.Errorf("commands with types: %v, want %v", got, want)
	}
	known := conversation.Types()
	for name := range eventBodies() {
		if !slices.Contains(known, name) {
			t.Errorf("a body of %s, which is no event type", name)
		}
	}
}

// names are the TypeScript names of Go types; a type that is not listed keeps its own name.
func names() map[reflect.Type]string {
	of := func(v any, field string) reflect.Type { return elem(reflect.TypeOf(v), field) }
	return map[reflect.Type]string{
		reflect.TypeFor[api.UserSummary]():                 "User",
		reflect.TypeFor[agentView]():                       "AgentState",
		reflect.TypeFor[workView]():                        "Work",
		reflect.TypeFor[offerFrame]():                      "Offer",
		reflect.TypeFor[api.InfoView]():                    "ConversationInfo",
		of(api.InfoView{}, "Service"):                      "ServiceInfo",
		reflect.TypeFor[errorView]():                       "WireError",
		reflect.TypeFor[api.BoardView]():                   "Board",
		of(api.BoardView{}, "Agents"):                      "BoardAgent",
		of(api.BoardView{}, "Queues"):                      "BoardQueue",
		listed("GET /conversations", "Conversations"):      "Summary",
		listed("GET /senders", "Senders"):                  "Sender",
		listed("GET /directory", "Agents"):                 "Invitee",
		operation("POST /conversations/{id}/files").Answer: "UploadedFile",
		reflect.TypeFor[conversation.File]():               "FileRef",
		reflect.TypeFor[conversation.MessageStatus]():      "StatusHead",
		reflect.TypeFor[conversation.Status]():             "MessageStatus",
		reflect.TypeFor[conversation.Outcome]():            "SettleOutcome",
		reflect.TypeFor[conversation.Kind]():               "ConversationKind",
	}
}

// enums are the string types of which front ends know each value.
func enums() map[reflect.Type][]string {
	all := map[reflect.Type][]string{}
	typescript.AddEnum(all, directory.RoleAgent, directory.RoleSupervisor, directory.RoleAdmin)
	typescript.AddEnum(all, conversation.Customer, conversation.Agent, conversation.Supervisor, conversation.Bot, conversation.System, conversation.Outside)
	typescript.AddEnum(all, conversation.PartText, conversation.PartRichText, conversation.PartFile, conversation.PartLocation,
		conversation.PartContact, conversation.PartChoices, conversation.PartAnswer, conversation.PartTemplate,
		conversation.PartReaction, conversation.PartEdit, conversation.PartRevoke, conversation.PartSystem, conversation.PartUnsupported)
	typescript.AddEnum(all, conversation.StatusAccepted, conversation.StatusUnknown, conversation.StatusSent, conversation.StatusFailed,
		conversation.StatusDelivered, conversation.StatusRead)
	typescript.AddEnum(all, conversation.OutcomeSent, conversation.OutcomeFailed, conversation.OutcomeResend)
	typescript.AddEnum(all, conversation.TargetService, conversation.TargetAgent, conversation.TargetDirectory)
	typescript.AddEnum(all, conversation.Inbound, conversation.Outbound, conversation.Internal)
	return all
}

// eventBodies are the Go types of sealed bodies, by event type.
func eventBodies() map[conversation.Type]any {
	return map[conversation.Type]any{
		conversation.TypeStarted:           conversation.StartedBody{},
		conversation.TypeAssigned:          conversation.AssignedBody{},
		conversation.TypeEndpointAdded:     conversation.EndpointBody{},
		conversation.TypeCustomerUpdated:   conversation.CustomerBody{},
		conversation.TypePageVisited:       conversation.PageBody{},
		conversation.TypeMessage:           conversation.MessageBody{},
		conversation.TypeMessageStatus:     conversation.StatusBody{},
		conversation.TypeMessageNamed:      conversation.NamedBody{},
		conversation.TypeParticipantJoined: conversation.NameBody{},
		conversation.TypeSupervisorJoined:  conversation.NameBody{},
		conversation.TypeNote:              conversation.MessageBody{},
		conversation.TypeInactivityWarned:  conversation.NoticeBody{},
		conversation.TypeConsentChanged:    conversation.ConsentBody{},
		conversation.TypeWrapupEnded:       conversation.WrapupBody{},

		conversation.TypeSessionLeg:           conversation.NameBody{},
		conversation.TypeSessionPanel:         conversation.PanelBody{},
		conversation.TypeSessionCustomerPanel: conversation.PanelBody{},
		conversation.TypeSessionNoted:         conversation.NoticeBody{},
		conversation.TypeSessionDigits:        conversation.DigitsBody{},
		conversation.TypeSessionRecorded:      conversation.RecordingBody{},
	}
}

// serverFrames are the frames to a client by their field t; "event" is written separately.
func serverFrames() map[string]any {
	return map[string]any{
		"welcome": welcomeFrame{}, "agent": agentFrame{}, "offer": offerFrame{}, "offer_end": offerEndFrame{},
		"joined": joinedFrame{}, "live": conversationFrame{}, "parted": conversationFrame{}, "typing": typingFrame{},
		"presence": presenceFrame{}, "ack": ackFrame{}, "error": errorFrame{}, "pong": pongFrame{}, "bye": byeFrame{},
		"board": boardFrame{}, "recent": recentFrame{},
	}
}

// clientFrames are the frames from a client by their field t; "cmd" is written separately.
func clientFrames() map[string]any {
	return map[string]any{
		"hello": helloFrame{}, "watch": watchFrame{}, "unwatch": unwatchFrame{}, "typing": typingInFrame{},
		"board": boardInFrame{}, "ping": pingFrame{},
	}
}

// typedCommands are the types that commands are decoded into, by name.
func typedCommands() map[string]any {
	return map[string]any{
		"ready": plainCmd{}, "not_ready": notReadyCmd{}, "logout": plainCmd{}, "accept": offerCmd{}, "reject": offerCmd{},
		"send": sendCmd{}, "mark": markCmd{}, "end": endCmd{}, "wrapup": wrapupCmd{}, "invite": inviteCmd{},
		"cancel_invite": cancelInviteCmd{}, "flag": flagCmd{}, "link_contact": linkContactCmd{},
		"text": textCmd{}, "join": joinCmd{}, "settle": settleCmd{}, "recent_seen": plainCmd{},
		"supervise": superviseCmd{}, "unsupervise": unsuperviseCmd{}, "note": noteCmd{},
	}
}

func protocol() string {
	w := &typescript.Writer{
		Names: names(), Enums: enums(), Skip: []reflect.Type{reflect.TypeFor[frameHeader]()},
		Raw: map[string]reflect.Type{"board": reflect.TypeFor[api.BoardView]()},
		// Stored head and body are bytes; their types follow from the event's type.
		Texts: map[reflect.Type]string{listed("GET /conversations/{id}/events", "Events"): "StoredEvent"},
	}
	var top strings.Builder
	top.WriteString(`// Generated from the Go types by gateway/stream/typescript_test.go; run: go generate ./gateway/stream
// Times are RFC 3339 in UTC, durations milliseconds, unless a name says otherwise.

/** Heads of events, by type. */
export interface Heads {
`)
	for _, t := range slices.Sorted(slices.Values(conversation.Types())) {
		head, err := conversation.DecodeHead(t, []byte("{}"))
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(&top, "  '%s': %s;\n", t, w.Whole(reflect.TypeOf(head).Elem()))
	}
	top.WriteString("}\n\n/** Bodies of events that have one, by type. */\nexport interface Bodies {\n")
	bodies := eventBodies()
	for _, t := range slices.Sorted(maps.Keys(bodies)) {
		fmt.Fprintf(&top, "  '%s': %s;\n", t, w.Whole(reflect.TypeOf(bodies[t])))
	}
	top.WriteString(`}

export type EventType = keyof Heads;

type Body<T extends EventType> = T extends keyof Bodies ? Bodies[T] : undefined;

/** One fact of a conversation. ` + "`seq`" + ` counts from 1 without holes. */
export type ConversationEvent = {
  [T in EventType]: { seq: number; at: string; type: T; head: Heads[T]; body?: Body<T> | null };
}[EventType];

/** ` + "`prev`" + ` is the sequence of the event before this one that the reader may see. */
export type EventFrame = ConversationEvent & { t: 'event'; conversation: string; prev: number };

/** Frames to a client. */
export type ServerFrame =
  | EventFrame`)
	frames := serverFrames()
	for _, t := range slices.Sorted(maps.Keys(frames)) {
		fmt.Fprintf(&top, "\n  | ({ t: '%s' } & %s)", t, w.Whole(reflect.TypeOf(frames[t])))
	}
	top.WriteString(";\n\n/** Frames from a client but for commands, which are { t: 'cmd', id, cmd } and their fields. */\nexport type ClientFrame =")
	frames = clientFrames()
	for _, t := range slices.Sorted(maps.Keys(frames)) {
		if t == "ping" { // the only frame whose id is read
			top.WriteString("\n  | { t: 'ping'; id: string }")
			continue
		}
		fmt.Fprintf(&top, "\n  | ({ t: '%s' } & %s)", t, w.Whole(reflect.TypeOf(frames[t])))
	}
	top.WriteString(";\n\n/** Commands by name, without `t`, `cmd` and `id`. */\nexport interface Commands {\n")
	cmds := typedCommands()
	for _, name := range slices.Sorted(maps.Keys(cmds)) {
		fmt.Fprintf(&top, "  %s: %s;\n", name, w.Whole(reflect.TypeOf(cmds[name])))
	}
	top.WriteString(`}

export type Ack = { t: 'ack' } & AckFrame;
export type AgentStatus = AgentState['status'];
/** How a conversation belongs into an agent's active list. */
export type Membership = Work['state'];
`)
	top.WriteString("\n/** An event as REST answers it. */\nexport type StoredEvent = ConversationEvent & { prev: number; status?: MessageStatus };\n")
	top.WriteString("\n/** What REST routes below /api/v1 take and answer, by method and path: those that are open to agents. */\nexport interface Routes {\n")
	for _, o := range api.Operations() {
		if o.Need != "" && o.Need != directory.RoleAgent {
			continue
		}
		fmt.Fprintf(&top, "  '%s': %s;\n", o.Route, typescript.Indent(route(w, o)))
	}
	top.WriteString("}\n")
	w.Whole(reflect.TypeFor[api.Problem]()) // what every route may answer instead of its own answer
	top.WriteString(w.Declarations())
	return top.String()
}

// route returns the TypeScript of what an operation takes, by where it is read from, and of what it
// answers.
func route(w *typescript.Writer, o api.Operation) string {
	var b strings.Builder
	for _, in := range []string{"path", "query"} {
		if params := parameters(w, o.Input, in); params != "" {
			fmt.Fprintf(&b, "  %s: {%s };\n", in, strings.TrimSuffix(params, ";"))
		}
	}
	if body, ok := o.Input.FieldByName("Body"); ok {
		fmt.Fprintf(&b, "  body: %s;\n", typescript.Indent(w.Whole(body.Type)))
	}
	answer := "undefined"
	if o.Answer != nil {
		answer = typescript.Indent(w.Whole(o.Answer))
	}
	return fmt.Sprintf("{\n%s  answer: %s;\n}", b.String(), answer)
}

// parameters returns the fields that an operation reads from its path or query.
func parameters(w *typescript.Writer, input reflect.Type, in string) string {
	var b strings.Builder
	for f := range input.Fields() {
		name, mark := f.Tag.Get(in), "?"
		if name == "" {
			continue
		}
		if in == "path" || f.Tag.Get("required") == "true" {
			mark = ""
		}
		fmt.Fprintf(&b, " %s%s: %s;", name, mark, w.Type(f.Type, f.Tag.Get("enum")))
	}
	return b.String()
}

func operation(route string) api.Operation {
	for _, o := range api.Operations() {
		if o.Route == route {
			return o
		}
	}
	panic("no operation " + route)
}

// listed returns the type of the items that a route's answer lists in a field.
func listed(route, field string) reflect.Type { return elem(operation(route).Answer, field) }

// elem returns the type that a field points to, or the type of the items that it lists.
func elem(t reflect.Type, field string) reflect.Type {
	f, _ := t.FieldByName(field)
	return f.Type.Elem()
}
