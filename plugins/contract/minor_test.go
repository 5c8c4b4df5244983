package contract

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// TestMinorOneIsKnown compares minorOne with what minor 0 had.
func TestMinorOneIsKnown(t *testing.T) {
	text, err := os.ReadFile("testdata/v1.0.txt")
	if err != nil {
		t.Fatal(err)
	}
	old := map[string]bool{} // messages and fields of minor 0
	for line := range strings.Lines(string(text)) {
		if m := regexp.MustCompile(`^(?:message|field) (\S+)`).FindStringSubmatch(line); m != nil {
			old[m[1]] = true
		}
	}
	var added []protoreflect.FullName
	messages := pluginv1.File_parley_plugin_v1_plugin_proto.Messages()
	for i := range messages.Len() {
		if !old[string(messages.Get(i).FullName())] {
			continue
		}
		fields := messages.Get(i).Fields()
		for j := range fields.Len() {
			if name := fields.Get(j).FullName(); !old[string(name)] {
				added = append(added, name)
			}
		}
	}
	for _, name := range added {
		if _, ok := minorOne[name]; !ok {
			t.Errorf("%s is newer than minor 0, and not listed", name)
		}
	}
	for name := range minorOne {
		if !slices.Contains(added, name) {
			t.Errorf("%s is listed, and no addition of minor 1", name)
		}
	}
}

func TestStrip(t *testing.T) {
	text := &pluginv1.Part{Part: &pluginv1.Part_Text{Text: &pluginv1.Text{Text: "x"}}}
	message := func(id string, parts ...*pluginv1.Part) *pluginv1.Event {
		return &pluginv1.Event{Kind: &pluginv1.Event_Message{Message: &pluginv1.Message{Parts: parts, ReplyToProviderId: id}}}
	}
	revoke := func(ours, theirs string) *pluginv1.Part {
		return &pluginv1.Part{Part: &pluginv1.Part_Revoke{Revoke: &pluginv1.Revoke{Message: ours, ProviderId: theirs}}}
	}
	tool := &pluginv1.Event{Account: "a", Kind: &pluginv1.Event_Tool{Tool: &pluginv1.ToolEvent{}}}
	for name, c := range map[string]struct {
		in, want proto.Message
		complete bool
	}{
		"nothing new":                {message("", text), message("", text), true},
		"a quote":                    {message("p", text), message("", text), true},
		"a reference by both ids":    {message("", revoke("m", "p")), message("", revoke("m", "")), true},
		"a reference by theirs only": {message("", text, revoke("", "p")), message("", text, revoke("", "")), false},
		"an event of minor 1":        {tool, &pluginv1.Event{Account: "a"}, false},
		"a description": {
			&pluginv1.DescribeResponse{Id: "p", SilenceMs: 5000, Capabilities: &pluginv1.Capabilities{Text: true, Quotes: true}},
			&pluginv1.DescribeResponse{Id: "p", Capabilities: &pluginv1.Capabilities{Text: true}}, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			whole := proto.Clone(c.in)
			if !Strip(whole, 1) || !proto.Equal(whole, c.in) {
				t.Errorf("for minor 1: got %v, want %v", whole, c.in)
			}
			got := proto.Clone(c.in)
			if complete := Strip(got, 0); complete != c.complete || !proto.Equal(got, c.want) {
				t.Errorf("for minor 0: got %v, %v; want %v, %v", got, complete, c.want, c.complete)
			}
		})
	}
}
