package stream

import (
	"encoding"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/api"
)

// This test writes the TypeScript types of front ends: what the agents' socket and the desktop's
// routes send and accept, from the Go types that are encoded and decoded, so that nobody copies
// them by hand. The types of routes come from the Go types and not from the OpenAPI description
// made of them, because that cannot tell null from absent where a field is an object.

var update = flag.Bool("update", false, "write the generated file")

const typescriptFile = "../../web/shared/src/protocol.ts"

// TestTypeScript: the committed TypeScript is what the Go types give.
func TestTypeScript(t *testing.T) {
	got := typescript()
	if *update {
		if err := os.WriteFile(typescriptFile, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(typescriptFile)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not what the Go types give; run: go generate ./gateway/stream", typescriptFile)
	}
}

// TestTypeScriptKnowsAll: the tables below have a line for every command and event type.
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
	answers := api.Answers()
	of := func(v any, field string) reflect.Type { // the type that a field points to, or lists
		f, _ := reflect.TypeOf(v).FieldByName(field)
		return f.Type.Elem()
	}
	return map[reflect.Type]string{
		reflect.TypeFor[api.UserSummary]():               "User",
		reflect.TypeFor[agentView]():                     "AgentState",
		reflect.TypeFor[workView]():                      "Work",
		reflect.TypeFor[offerFrame]():                    "Offer",
		reflect.TypeFor[api.InfoView]():                  "ConversationInfo",
		of(api.InfoView{}, "Service"):                    "ServiceInfo",
		reflect.TypeFor[errorView]():                     "WireError",
		reflect.TypeFor[api.BoardView]():                 "Board",
		of(api.BoardView{}, "Agents"):                    "BoardAgent",
		of(api.BoardView{}, "Queues"):                    "BoardQueue",
		of(answers["ConversationPage"], "Conversations"): "Summary",
		of(answers["Senders"], "Senders"):                "Sender",
		of(answers["Invitees"], "Agents"):                "Invitee",
		reflect.TypeOf(answers["UploadAnswer"]):          "UploadedFile",
		reflect.TypeFor[conversation.File]():             "FileRef",
		reflect.TypeFor[conversation.MessageStatus]():    "StatusHead",
		reflect.TypeFor[conversation.Status]():           "MessageStatus",
		reflect.TypeFor[conversation.Outcome]():          "SettleOutcome",
		reflect.TypeFor[conversation.Kind]():             "ConversationKind",
	}
}

// enums are the string types of which front ends know each value.
func enums() map[reflect.Type][]string {
	all := map[reflect.Type][]string{}
	enum(all, directory.RoleAgent, directory.RoleSupervisor, directory.RoleAdmin)
	enum(all, conversation.Customer, conversation.Agent, conversation.Supervisor, conversation.Bot, conversation.System)
	enum(all, conversation.PartText, conversation.PartRichText, conversation.PartFile, conversation.PartLocation,
		conversation.PartContact, conversation.PartChoices, conversation.PartAnswer, conversation.PartTemplate,
		conversation.PartReaction, conversation.PartEdit, conversation.PartRevoke, conversation.PartSystem, conversation.PartUnsupported)
	enum(all, conversation.StatusAccepted, conversation.StatusUnknown, conversation.StatusSent, conversation.StatusFailed,
		conversation.StatusDelivered, conversation.StatusRead)
	enum(all, conversation.OutcomeSent, conversation.OutcomeFailed, conversation.OutcomeResend)
	enum(all, conversation.TargetService, conversation.TargetAgent, conversation.TargetDirectory)
	enum(all, conversation.Inbound, conversation.Outbound, conversation.Internal)
	return all
}

func enum[T ~string](all map[reflect.Type][]string, values ...T) {
	for _, v := range values {
		all[reflect.TypeFor[T]()] = append(all[reflect.TypeFor[T]()], string(v))
	}
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
		conversation.TypeParticipantJoined: conversation.NameBody{},
		conversation.TypeInactivityWarned:  conversation.NoticeBody{},
		conversation.TypeConsentChanged:    conversation.ConsentBody{},
		conversation.TypeWrapupEnded:       conversation.WrapupBody{},
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
	}
}

func typescript() string {
	w := &tsWriter{names: names(), enums: enums(), done: map[string]string{}}
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
		fmt.Fprintf(&top, "  '%s': %s;\n", t, w.whole(reflect.TypeOf(head).Elem()))
	}
	top.WriteString("}\n\n/** Bodies of events that have one, by type. */\nexport interface Bodies {\n")
	bodies := eventBodies()
	for _, t := range slices.Sorted(maps.Keys(bodies)) {
		fmt.Fprintf(&top, "  '%s': %s;\n", t, w.whole(reflect.TypeOf(bodies[t])))
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
		fmt.Fprintf(&top, "\n  | ({ t: '%s' } & %s)", t, w.whole(reflect.TypeOf(frames[t])))
	}
	top.WriteString(";\n\n/** Frames from a client but for commands, which are { t: 'cmd', id, cmd } and their fields. */\nexport type ClientFrame =")
	frames = clientFrames()
	for _, t := range slices.Sorted(maps.Keys(frames)) {
		if t == "ping" { // the only frame whose id is read
			top.WriteString("\n  | { t: 'ping'; id: string }")
			continue
		}
		fmt.Fprintf(&top, "\n  | ({ t: '%s' } & %s)", t, w.whole(reflect.TypeOf(frames[t])))
	}
	top.WriteString(";\n\n/** Commands by name, without `t`, `cmd` and `id`. */\nexport interface Commands {\n")
	cmds := typedCommands()
	for _, name := range slices.Sorted(maps.Keys(cmds)) {
		fmt.Fprintf(&top, "  %s: %s;\n", name, w.whole(reflect.TypeOf(cmds[name])))
	}
	top.WriteString(`}

export type Ack = { t: 'ack' } & AckFrame;
export type AgentStatus = AgentState['status'];
/** How a conversation belongs into an agent's active list. */
export type Membership = Work['state'];
`)
	routes := api.Answers()
	for _, name := range slices.Sorted(maps.Keys(routes)) {
		t := reflect.TypeOf(routes[name])
		if t.Name() != "" {
			fmt.Fprintf(&top, "\nexport type %s = %s;\n", name, w.whole(t))
			continue
		}
		fmt.Fprintf(&top, "\nexport interface %s {\n%s}\n", name, w.fields(t, false))
	}
	for _, name := range slices.Sorted(maps.Keys(w.done)) {
		top.WriteString("\n" + w.done[name])
	}
	return top.String()
}

// tsWriter writes Go types as TypeScript; done holds the declarations by name.
type tsWriter struct {
	names map[reflect.Type]string
	enums map[reflect.Type][]string
	done  map[string]string
}

// whole is the TypeScript type of a frame, head or body; one without fields is an empty record.
func (w *tsWriter) whole(t reflect.Type) string {
	if w.fields(t, false) == "" {
		return "Record<string, never>"
	}
	return w.of(t, "")
}

// of is the TypeScript of a Go type; allowed are the values of a string, if its tag lists them.
func (w *tsWriter) of(t reflect.Type, allowed string) string {
	switch {
	case allowed != "":
		return "'" + strings.ReplaceAll(allowed, ",", "' | '") + "'"
	case t == reflect.TypeFor[time.Time]():
		return "string"
	case t == reflect.TypeFor[json.RawMessage]():
		return "unknown"
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return "string"
	}
	if values := w.enums[t]; values != nil {
		name := w.name(t)
		w.done[name] = fmt.Sprintf("export type %s =\n  | '%s';\n", name, strings.Join(values, "'\n  | '"))
		return name
	}
	switch t.Kind() {
	case reflect.Pointer:
		return w.of(t.Elem(), "")
	case reflect.Slice:
		return w.of(t.Elem(), "") + "[]"
	case reflect.Map:
		return "Record<string, " + w.of(t.Elem(), "") + ">"
	case reflect.String:
		return "string"
	case reflect.Bool:
		return "boolean"
	case reflect.Struct:
		return w.object(t)
	case reflect.Int, reflect.Int32, reflect.Int64, reflect.Uint, reflect.Uint32, reflect.Uint64, reflect.Float64:
		return "number"
	}
	panic(fmt.Sprintf("no TypeScript for %v", t))
}

func (w *tsWriter) name(t reflect.Type) string {
	if name := w.names[t]; name != "" {
		return name
	}
	return strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
}

func (w *tsWriter) object(t reflect.Type) string {
	name := w.name(t)
	if _, ok := w.done[name]; !ok {
		w.done[name] = "" // set first, because the type may contain itself
		w.done[name] = fmt.Sprintf("export interface %s {\n%s}\n", name, w.fields(t, false))
	}
	return name
}

// fields are the lines of an interface. It leaves out t and the header, which the kind of a frame
// implies; the fields of an embedded pointer may be missing together.
func (w *tsWriter) fields(t reflect.Type, missing bool) string {
	var b strings.Builder
	for f := range t.Fields() {
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			inner, pointer := f.Type, f.Type.Kind() == reflect.Pointer
			if pointer {
				inner = inner.Elem()
			}
			if inner != reflect.TypeFor[frameHeader]() {
				b.WriteString(w.fields(inner, missing || pointer))
			}
			continue
		case name == "-" || name == "t" || !f.IsExported():
			continue
		}
		typ, mark := w.of(f.Type, f.Tag.Get("enum")), ""
		if f.Type == reflect.TypeFor[json.RawMessage]() && name == "board" {
			typ = w.of(reflect.TypeFor[api.BoardView](), "")
		}
		nullable := f.Type.Kind() == reflect.Pointer || f.Type.Kind() == reflect.Map ||
			f.Type.Kind() == reflect.Slice && f.Type != reflect.TypeFor[json.RawMessage]()
		optional := strings.Contains(options, "omit")
		if nullable && !optional {
			typ += " | null"
		}
		if optional || missing {
			mark = "?"
		}
		if doc := f.Tag.Get("doc"); doc != "" {
			fmt.Fprintf(&b, "  /** %s */\n", doc)
		}
		fmt.Fprintf(&b, "  %s%s: %s;\n", name, mark, typ)
	}
	return b.String()
}
