package rules_test

import (
	"strings"
	"testing"
)

// rule says which of Parley's packages the packages below a folder may import. A name covers itself
// and all below it; "." is the folder itself.
type rule struct {
	folder string
	may    []string
	why    string
}

// house is DESIGN.md 2 as a table. The rule with the longest matching folder applies; a package
// without a rule fails, so a new room needs a line here.
var house = []rule{
	{"cmd", []string{"config", "core", "gateway", "plugins/sdk/kit", "plugins/contract", "drive", "internal/bench", "internal/doctor", "internal/freeport", "internal/stores"}, "the one place where concrete types meet"},
	{"config", nil, "reads file and environment, knows nobody"},

	{"core/conversation", nil, "nouns and rules; pure"},
	{"core/acd", []string{".", "core/conversation"}, "pure; conversation never imports it back"},
	{"core/eventlog", []string{"."}, "stores bytes; knows no model"},
	{"core/vault", []string{"core/database"}, "keys know nothing of what they seal; a database of their own is opened as the one beside the log"},
	{"core/clock", nil, "knows the system's clock and nobody"},
	{"core/timers", nil, "wakes by ids that it does not look into"},
	{"core/order", nil, "knows authors by names that it does not look into"},
	{"core/nodes", []string{"core/eventlog"}, "who else runs; what an owner does it does not know"},
	{"core/bus", []string{"."}, "hints carry ids and numbers only"},
	{"core/database", nil, "opens the tables beside the log; knows no statement"},
	{"core/kv", []string{"core/database"}, "plugins' values, sealed by a vault that is handed in"},
	{"core/audit", []string{"core/conversation", "core/database"}, "who did what; who writes it down it does not know"},
	{"core/sessions", []string{"core/conversation", "core/database"}, "who is logged in; directory ends sessions with the change that ends them"},
	{"core/directory", []string{".", "core/audit", "core/conversation", "core/database", "core/sessions", "core/vault"}, "records; their changes go to the audit trail and end sessions, secrets are sealed by the vault"},
	{"core/blob", []string{".", "core/conversation", "core/database", "core/directory", "core/eventlog", "core/vault", "core/plugin", "internal/quota"}, "what accounts take is in the directory, keys are in the vault; the plugins' door to attachments, and what an agent has used"},
	{"core/plugin", []string{"core/conversation"}, "what core and plugin host say to each other; does nothing"},
	{"core/pluginhost", []string{".", "core/conversation", "core/plugin", "plugins/contract", "internal/freeport"}, "speaks the contract; knows the core by the nouns in plugin; its tests come back to ports"},
	{"core/outbox", []string{"core/conversation", "core/eventlog", "core/plugin"}, "pending commands; asks the router by interfaces of its own"},
	{"core/bots", []string{"core/conversation", "core/plugin"}, "which conversations bots answer; is told of changes, and tells plugins"},
	{"core/readers", []string{".", "core/conversation", "core/eventlog", "core/plugin", "core/vault"}, "who reads; asks the router by an interface of its own"},
	{"core/messages", []string{"core/blob", "core/conversation", "core/eventlog", "core/plugin"}, "makes commands of what people write; asks the log and the attachments, and nobody else; what providers approve is a noun of plugin"},
	{"core/ingest", []string{"core/conversation", "core/directory", "core/eventlog", "core/messages", "core/outbox", "core/plugin", "core/vault"}, "takes in what plugins say; asks the router by an interface of its own"},
	{"core/agents", []string{"core/acd", "core/bus", "core/conversation", "core/eventlog"}, "keeps streams and lets acd decide; is told nothing of conversations but their events"},
	{"core/dispatch", []string{"core/acd", "core/conversation", "core/directory", "core/eventlog"}, "asks acd and tells who keeps conversations, whom it does not know"},
	{"core/project", []string{".", "core/conversation", "core/database", "core/eventlog"}, "follows the log into tables; who reads them it does not know"},
	{"core/sessionwork", []string{"core/conversation", "core/directory", "core/eventlog", "core/plugin"}, "calls and tools; asks the router by an interface of its own"},
	{"core/desk", []string{"core/acd", "core/conversation", "core/directory", "core/dispatch", "core/eventlog", "core/messages", "core/order", "core/outbox", "core/plugin", "core/readers"}, "what people ask for; asks the router by an interface of its own"},
	{"core/router", []string{".", "core/acd", "core/agents", "core/blob", "core/bots", "core/bus", "core/conversation", "core/desk", "core/directory", "core/dispatch", "core/eventlog", "core/ingest", "core/messages", "core/order", "core/outbox", "core/plugin", "core/readers", "core/sessionwork", "core/timers", "core/vault"}, "carries out what conversation and acd decide; who runs plugins it does not know"},

	{"gateway", []string{"config", "core", "gateway", "plugins/contract/identity", "internal/wsframe"}, "identity is the header that plugins behind the proxy check; wsframe checks and writes its sockets' frames"},
	{"gateway/api", []string{"core", "gateway/auth", "gateway/limit"}, "answers requests; the stream beside it is handed in"},
	{"gateway/stream", []string{".", "core", "gateway/api", "gateway/auth", "gateway/limit", "gateway/ops", "internal/wsframe"}, "shows and checks as the API does, never the other way round"},
	{"gateway/control", []string{"core/audit", "core/directory", "core/pluginhost", "core/project"}, "a door for this machine's commands; what it opens is handed in"},
	{"gateway/desktop", nil, "the embedded build"},

	{"plugins/contract", []string{"."}, "the public contract stands alone"},
	{"plugins/sdk", []string{".", "plugins/contract"}, "what plugin authors import"},
	{"plugins", []string{"plugins/contract", "plugins/sdk", "internal/wsframe", "internal/quota"}, "a plugin sees the SDK and the contract; wsframe checks and writes its sockets' frames, quota what customers store"},

	{"drive", nil, "plays customers and agents from outside, over the wire"},
	{"e2e", []string{"drive"}, "the real binary from outside"},
	{"internal/rules", nil, "reads files, not code"},
	{"internal/freeport", nil, "addresses for servers that come back"},
	{"internal/bench", []string{"config", "core", "drive", "gateway/control", "internal/freeport", "internal/stores"}, "measures from outside, fills stores from inside; only cmd starts it"},
	{"internal/doctor", []string{"config", "core/eventlog", "core/pluginhost", "core/vault", "gateway/control", "internal/stores"}, "looks at everything, changes nothing"},
	{"internal/stores", []string{"config", "core/conversation", "core/directory", "core/eventlog", "core/vault"}, "opens what the configuration names, as core has it"},
	{"internal/wsframe", nil, "reads and writes bytes, knows nobody"},
	{"internal/typescript", nil, "writes down any types for tests that hand them in"},
	{"internal/quota", nil, "counts, knows nobody"},
	{"internal/pgtest", []string{"internal/freeport"}, "starts PostgreSQL for tests"},
	{"internal/enginetest", []string{"core/database", "internal/pgtest"}, "runs a package's tests on both engines"},
}

// inTests is what tests may import besides what their package may: a core package is tested with
// the real implementations of its neighbours and not with mocks.
var inTests = []rule{
	{"core", []string{"core", "internal/enginetest", "internal/pgtest"}, ""},
	{"gateway/api", []string{"gateway"}, ""},
	{"gateway/stream", []string{"internal/typescript"}, ""},
	{"plugins", []string{"internal/typescript"}, ""},
	{"cmd", []string{"internal/pgtest", "plugins/sdk", "plugins/webchat"}, ""},
	{"e2e", []string{"internal/pgtest"}, ""},
}

// catalogue is the one file that names built-in plugins.
const catalogue = "cmd/parley/catalogue.go"

func below(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}

func ruleFor(rules []rule, dir string) (rule, bool) {
	var best rule
	found := false
	for _, r := range rules {
		if below(dir, r.folder) && (!found || len(r.folder) > len(best.folder)) {
			best, found = r, true
		}
	}
	return best, found
}

func (r rule) allows(imported string) bool {
	for _, m := range r.may {
		if m == "." {
			m = r.folder
		}
		if below(imported, m) {
			return true
		}
	}
	return false
}

// plugin is the name of the plugin to which a package belongs, or "". The contract and the SDK are
// not plugins.
func plugin(pkg string) string {
	rest, ok := strings.CutPrefix(pkg, "plugins/")
	if !ok || below(pkg, "plugins/contract") || below(pkg, "plugins/sdk") {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	return name
}

func TestImports(t *testing.T) {
	for _, f := range goFiles(t) {
		r, ok := ruleFor(house, f.dir)
		if !ok {
			t.Errorf("%s: no rule for %s; add one to house", f.path, f.dir)
			continue
		}
		for _, imported := range f.imports {
			if why := refuse(f, r, imported); why != "" {
				t.Errorf("%s imports %s: %s", f.path, imported, why)
			}
		}
	}
}

// refuse returns the reason why a file must not import a package, or "".
func refuse(f goFile, r rule, imported string) string {
	if f.test && imported == f.dir {
		return "" // an external test of its own package
	}
	if name := plugin(imported); name != "" {
		switch {
		case plugin(f.dir) == name:
			return ""
		case f.path == catalogue:
			return ""
		case !f.test:
			return "only " + catalogue + " knows the built-in plugins"
		}
	}
	if r.allows(imported) {
		return ""
	}
	if more, ok := ruleFor(inTests, f.dir); ok && f.test && more.allows(imported) {
		return ""
	}
	return r.folder + " may import " + strings.Join(r.may, ", ") + " (" + r.why + ")"
}

// TestRefuse: the table refuses imports that it must refuse.
func TestRefuse(t *testing.T) {
	for _, tt := range []struct {
		name, file, imported string
		want                 bool
	}{
		{"conversation is pure", "core/conversation/state.go", "core/acd", false},
		{"acd uses conversation", "core/acd/decide.go", "core/conversation", true},
		{"log knows no model", "core/eventlog/sqlite/append.go", "core/conversation", false},
		{"core knows no gateway", "core/router/router.go", "gateway/api", false},
		{"core knows no configuration", "core/blob/store.go", "config", false},
		{"attachments know no host", "core/blob/plugins.go", "core/pluginhost", false},
		{"attachments use the nouns", "core/blob/plugins.go", "core/plugin", true},
		{"router knows no host", "core/router/router.go", "core/pluginhost", false},
		{"router's tests start a host", "core/router/attachments_test.go", "core/pluginhost", true},
		{"records go to the trail", "core/directory/change.go", "core/audit", true},
		{"sessions know no records", "core/sessions/sessions.go", "core/directory", false},
		{"the trail knows no records", "core/audit/trail.go", "core/directory", false},
		{"nouns know no host", "core/plugin/core.go", "core/pluginhost", false},
		{"host uses the nouns", "core/pluginhost/session.go", "core/plugin", true},
		{"agents know no dispatch", "core/agents/agents.go", "core/dispatch", false},
		{"dispatch knows no router", "core/dispatch/dispatch.go", "core/router", false},
		{"calls and tools know no router", "core/sessionwork/sessionwork.go", "core/router", false},
		{"ingest knows no router", "core/ingest/ingest.go", "core/router", false},
		{"outbox knows no ingest", "core/outbox/outbox.go", "core/ingest", false},
		{"router uses core", "core/router/router.go", "core/acd", true},
		{"gateway uses core", "gateway/api/api.go", "core/router", true},
		{"stream uses the API", "gateway/stream/socket.go", "gateway/api", true},
		{"API is handed the stream", "gateway/api/api.go", "gateway/stream", false},
		{"API is tested with the stream", "gateway/api/access_test.go", "gateway/stream", true},
		{"gateway knows no plugin", "gateway/proxy/proxy.go", "plugins/webchat", false},
		{"gateway does not use the SDK", "gateway/proxy/proxy.go", "plugins/sdk", false},
		{"plugin uses the SDK", "plugins/webchat/plugin.go", "plugins/sdk", true},
		{"plugin knows no core", "plugins/webchat/plugin.go", "core/conversation", false},
		{"plugin knows no other plugin", "plugins/sms/plugin.go", "plugins/webchat", false},
		{"plugin's parts", "plugins/webchat/internal/uiserver/main.go", "plugins/webchat", true},
		{"SDK knows no core", "plugins/sdk/serve.go", "core/pluginhost", false},
		{"contract stands alone", "plugins/contract/doc.go", "plugins/sdk", false},
		{"catalogue", catalogue, "plugins/webchat", true},
		{"rest of the command", "cmd/parley/main.go", "plugins/webchat", false},
		{"benches are the command's only", "gateway/ops/health.go", "internal/bench", false},
		{"doctor starts no bench", "internal/doctor/doctor.go", "internal/bench", false},
		{"drive is outside", "drive/agent.go", "gateway/api", false},
		{"test with neighbours", "core/eventlog/sqlite/storage_test.go", "core/vault", true},
		{"test of the pure part", "core/conversation/spec_test.go", "gateway/api", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tt.file[:strings.LastIndexByte(tt.file, '/')]
			f := goFile{path: tt.file, dir: dir, test: strings.HasSuffix(tt.file, "_test.go")}
			r, ok := ruleFor(house, dir)
			if !ok {
				t.Fatalf("no rule for %s", dir)
			}
			if why := refuse(f, r, tt.imported); (why == "") != tt.want {
				t.Errorf("%s imports %s: allowed = %v, want %v (%s)", tt.file, tt.imported, why == "", tt.want, why)
			}
		})
	}
}
