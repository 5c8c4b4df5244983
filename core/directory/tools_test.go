package directory_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
)

// A service names its tools by accounts, and applying the same records again changes nothing.
func TestServiceTools(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	parse := func(tools string) directory.Records {
		t.Helper()
		r, err := directory.ParseRecords([]byte("services:\n  - name: Sales\n"+tools+"accounts:\n  - {name: Browse, plugin: surfly, service: Sales}\n"), "r.yaml")
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	with := parse("    tools:\n      - account: browse\n        settings: {consent: true}\n")
	if _, err := f.Apply(ctx, with, false); err != nil {
		t.Fatal(err)
	}
	acc, _ := f.Snapshot().AccountByName("Browse")
	svc, _ := f.Snapshot().ServiceByName("Sales")
	want := []directory.ServiceTool{{Account: acc.ID, Settings: json.RawMessage(`{"consent":true}`)}}
	if diff := cmp.Diff(want, svc.Tools); diff != "" {
		t.Errorf("tools (-want +got):\n%s", diff)
	}
	if _, ok := svc.Tool(acc.ID); !ok {
		t.Error("the service does not find its tool")
	}
	if _, ok := svc.Tool(conversation.AccountID{1}); ok {
		t.Error("the service finds a tool that it does not have")
	}
	if again, err := f.Apply(ctx, with, false); err != nil || len(again) != 0 {
		t.Errorf("Apply again: %v, %v; want no change", again, err)
	}
	without, err := f.Apply(ctx, parse(""), false)
	if diff := cmp.Diff([]string{"updated service Sales (tools)"}, lines(without)); err != nil || diff != "" {
		t.Errorf("Apply without tools: %v (-want +got):\n%s", err, diff)
	}
	if _, err := f.Apply(ctx, parse("    tools: [{account: Nowhere}]\n"), false); err == nil || !strings.Contains(err.Error(), `no account "Nowhere"`) {
		t.Errorf("a tool that is not there: %v", err)
	}
}

func TestServiceToolsAreChecked(t *testing.T) {
	f := open(t)
	ctx := t.Context()
	svc, err := f.PutService(ctx, directory.Service{Name: "Sales"})
	if err != nil {
		t.Fatal(err)
	}
	acc, err := f.PutAccount(ctx, directory.Account{Plugin: "surfly", Name: "Browse", Service: svc.ID}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, tools := range map[string][]directory.ServiceTool{
		"tools[0].account":  {{Account: conversation.AccountID{9}}},
		"tools[1].account":  {{Account: acc.ID}, {Account: acc.ID}},
		"tools[0].settings": {{Account: acc.ID, Settings: json.RawMessage(`[1]`)}},
		"tools":             make([]directory.ServiceTool, 51),
	} {
		svc.Tools = tools
		_, err := f.PutService(ctx, svc)
		var invalid *directory.InvalidError
		if !errors.As(err, &invalid) || invalid.Faults[0].Path != name {
			t.Errorf("%s: %v", name, err)
		}
	}
}
