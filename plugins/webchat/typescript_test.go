package webchat

import (
	"flag"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/internal/typescript"
)

// This test writes the panel's types as TypeScript from the Go types that are encoded and decoded:
// the frames of the socket, and the site's settings that the page gets.

var update = flag.Bool("update", false, "write the generated file")

// TestTypeScript: the committed TypeScript is what the Go types give.
func TestTypeScript(t *testing.T) {
	if err := typescript.Keep("widget/src/panel/protocol.ts", protocol(), *update); err != nil {
		t.Errorf("%v; run: go generate ./plugins/webchat", err)
	}
}

// serverFrames are the frames to a client by their field t; "event" is written separately.
func serverFrames() map[string]any {
	return map[string]any{
		"welcome": welcomeFrame{}, "visitor": visitorFrame{}, "live": liveFrame{}, "accepted": acceptedFrame{},
		"refused": refusedFrame{}, "typing": signalFrame{}, "presence": signalFrame{}, "queue": queueFrame{}, "grant": grantFrame{},
		"file": fileFrame{}, "error": errorFrame{}, "pong": pongFrame{}, "bye": byeFrame{},
	}
}

// clientFields are the fields of inFrame that each kind of frame uses, as README.md says.
func clientFields() map[string]string {
	return map[string]string{
		"hello": "v site token cursor page locale", "register": "", "start": "client_id form parts page locale",
		"message": "client_id parts reply_to", "end": "client_id", "tool": "client_id session account action values revision", "typing": "on", "receipt": "conversation delivered read",
		"page": "page", "grant": "id", "file": "id blob key thumb", "ping": "id",
	}
}

func protocol() string {
	w := &typescript.Writer{Names: map[reflect.Type]string{
		reflect.TypeFor[inPart]():     "SentPart",
		reflect.TypeFor[answer]():     "SentAnswer",
		reflect.TypeFor[file]():       "FilePart",
		reflect.TypeFor[publicSite](): "Site",
	}}
	var top strings.Builder
	top.WriteString(`// Generated from the Go types by plugins/webchat/typescript_test.go; run: go generate ./plugins/webchat
// Times are RFC 3339 in UTC, durations milliseconds, unless a name says otherwise.

import type { ConversationEvent } from '@parley/shared/protocol';

/** An event as stored. ` + "`prev`" + ` is the sequence of the event before this one that the customer may see; ` + "`file_keys`" + ` open its files. */
export type EventFrame = ConversationEvent & {
  t: 'event';
  conversation: string;
  prev: number;
  file_keys?: Record<string, string>;
};

/** Frames to a client. */
export type ServerFrame =
  | EventFrame`)
	frames := serverFrames()
	for _, t := range slices.Sorted(maps.Keys(frames)) {
		fmt.Fprintf(&top, "\n  | ({ t: '%s' } & %s)", t, w.Whole(reflect.TypeOf(frames[t])))
	}
	top.WriteString(";\n\n/** Every field of a frame from a client. */\nexport interface Fields {\n" + w.Fields(reflect.TypeFor[inFrame]()) + "}\n")
	top.WriteString("\n/** Frames from a client. */\nexport type ClientFrame =")
	fields := clientFields()
	for _, t := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(&top, "\n  | { t: '%s' }", t)
		if names := strings.Fields(fields[t]); len(names) > 0 {
			fmt.Fprintf(&top, " & Pick<Fields, '%s'>", strings.Join(names, "' | '"))
		}
	}
	top.WriteString(";\n")
	w.Whole(reflect.TypeFor[publicSite]()) // the settings that the panel's page and GET /site/SITE contain
	top.WriteString(w.Declarations())
	return top.String()
}
