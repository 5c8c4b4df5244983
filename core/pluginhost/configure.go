package pluginhost

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/pluginhost/wire"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// AccountConfig is one configured endpoint of a channel plugin.
type AccountConfig struct {
	ID     conversation.AccountID
	Plugin string // id of the plugin that serves it
	Name   string
	// Settings is a JSON object that fits the plugin's account schema, secrets included; nil = {}.
	Settings json.RawMessage
	Enabled  bool
}

// Problem is one fault of a configuration. Its text never contains a value of the settings.
type Problem struct {
	Account conversation.AccountID // zero = the fault is in the plugin's own settings
	Path    string                 // JSON pointer into the settings; "" = the settings as a whole
	Code    string                 // "required", "type", "unauthorized" ...
	Text    string
}

// configuration is the complete configuration of one plugin.
type configuration struct {
	revision uint64
	settings json.RawMessage
	accounts []AccountConfig
}

// schemas are a plugin's compiled JSON Schemas; a nil schema accepts any object.
type schemas struct {
	settings, account *schema
}

type schema struct {
	compiled *jsonschema.Schema
	secrets  [][]string // paths of the properties marked x-secret
}

func compileSchemas(d *pluginv1.DescribeResponse) (s schemas, err error) {
	if s.settings, err = compileSchema("settings", d.GetSettingsSchema()); err != nil {
		return s, err
	}
	s.account, err = compileSchema("account", d.GetAccountSchema())
	return s, err
}

func compileSchema(name, text string) (*schema, error) {
	if text == "" {
		return nil, nil
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("%s schema: %w", name, err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(noLoader{}) // a plugin's schema must not make the host read anything
	url := "parley:" + name
	if err := c.AddResource(url, doc); err != nil {
		return nil, fmt.Errorf("%s schema: %w", name, err)
	}
	compiled, err := c.Compile(url)
	if err != nil {
		return nil, fmt.Errorf("%s schema: %w", name, err)
	}
	return &schema{compiled: compiled, secrets: secretPaths(doc, nil)}, nil
}

type noLoader struct{}

func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("%s: schemas stand alone", url)
}

// secretPaths finds the properties with "x-secret": true, also in nested objects.
func secretPaths(doc any, at []string) (out [][]string) {
	obj, _ := doc.(map[string]any)
	properties, _ := obj["properties"].(map[string]any)
	for name, sub := range properties {
		path := append(slices.Clone(at), name)
		if s, ok := sub.(map[string]any); ok && s["x-secret"] == true {
			out = append(out, path)
			continue
		}
		out = append(out, secretPaths(sub, path)...)
	}
	sort.Slice(out, func(i, j int) bool { return strings.Join(out[i], "/") < strings.Join(out[j], "/") })
	return out
}

// split checks settings and takes the secrets out of them. The name of a secret is its property
// name; names of nested properties are joined by a slash.
func (s *schema) split(account conversation.AccountID, settings json.RawMessage) (string, []*pluginv1.Secret, []Problem) {
	if len(bytes.TrimSpace(settings)) == 0 {
		settings = json.RawMessage("{}")
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(settings))
	obj, isObject := doc.(map[string]any)
	if err != nil || !isObject {
		return "", nil, []Problem{{Account: account, Code: "type", Text: "want a JSON object"}}
	}
	if s == nil {
		return string(settings), nil, nil
	}
	if err := s.compiled.Validate(doc); err != nil {
		return "", nil, problemsOf(account, err)
	}
	var secrets []*pluginv1.Secret
	for _, path := range s.secrets {
		if value, ok := takeOut(obj, path); ok {
			secrets = append(secrets, &pluginv1.Secret{Name: strings.Join(path, "/"), Value: value})
		}
	}
	text, err := json.Marshal(obj)
	if err != nil {
		return "", nil, []Problem{{Account: account, Code: "invalid", Text: "cannot be encoded"}}
	}
	return string(text), secrets, nil
}

// takeOut removes the value at path and returns it as text: a string unchanged, anything else as
// JSON.
func takeOut(obj map[string]any, path []string) (string, bool) {
	for _, name := range path[:len(path)-1] {
		next, ok := obj[name].(map[string]any)
		if !ok {
			return "", false
		}
		obj = next
	}
	last := path[len(path)-1]
	value, ok := obj[last]
	if !ok {
		return "", false
	}
	delete(obj, last)
	if s, ok := value.(string); ok {
		return s, true
	}
	text, err := json.Marshal(value)
	return string(text), err == nil
}

// problemsOf lists the single faults of a validation error in texts of our own, since the library's
// texts would quote the value, which may be a secret.
func problemsOf(account conversation.AccountID, err error) []Problem {
	invalid, ok := err.(*jsonschema.ValidationError) //nolint:errorlint // Validate returns it bare
	if !ok {
		return []Problem{{Account: account, Code: "invalid", Text: "cannot be checked"}}
	}
	var out []Problem
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		for _, c := range e.Causes {
			walk(c)
		}
		if len(e.Causes) > 0 {
			return
		}
		path := e.InstanceLocation
		p := Problem{Account: account, Code: "invalid"}
		if kp := e.ErrorKind.KeywordPath(); len(kp) > 0 {
			p.Code = kp[len(kp)-1]
		}
		switch k := e.ErrorKind.(type) {
		case *kind.Required:
			for _, name := range k.Missing {
				missing := p
				missing.Path, missing.Code, missing.Text = pointer(append(slices.Clone(path), name)), "required", "is missing"
				out = append(out, missing)
			}
			return
		case *kind.AdditionalProperties:
			for _, name := range k.Properties {
				extra := p
				extra.Path, extra.Code, extra.Text = pointer(append(slices.Clone(path), name)), "unknown", "is not known"
				out = append(out, extra)
			}
			return
		case *kind.Type:
			p.Code, p.Text = "type", "want "+strings.Join(k.Want, " or ")+", got "+k.Got
		default:
			p.Text = "does not satisfy " + p.Code
		}
		p.Path = pointer(path)
		out = append(out, p)
	}
	walk(invalid)
	return out
}

func pointer(path []string) string {
	var b strings.Builder
	for _, name := range path {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(name))
	}
	return b.String()
}

// request builds a Configure call. Accounts with faults are left out, so that other accounts go on
// working; with faults in the plugin's own settings the request is nil. Accounts that this node does
// not serve are switched off in it.
func (g *generation) request(c *configuration, serves func(conversation.AccountID) bool) (*pluginv1.ConfigureRequest, []Problem) {
	h := g.p.host
	settings, secrets, problems := g.schemas.settings.split(conversation.AccountID{}, c.settings)
	if len(problems) > 0 {
		return nil, problems
	}
	req := &pluginv1.ConfigureRequest{
		Revision: c.revision, Settings: settings, Secrets: secrets,
		GatewaySocket: g.gateway.path, HttpSocket: g.httpSocket(),
		IdentityKey: g.p.identityKey, VisitorKey: h.opts.VisitorKey, FrameAncestors: h.opts.FrameAncestors,
	}
	if h.opts.PluginURL != nil {
		req.BaseUrl = h.opts.PluginURL(g.p.id, g.launch.spec.foreign())
	}
	for _, a := range c.accounts {
		text, secret, faults := g.schemas.account.split(a.ID, a.Settings)
		if len(faults) > 0 {
			problems = append(problems, faults...)
			continue
		}
		out := &pluginv1.Account{Id: a.ID.String(), Name: a.Name, Settings: text, Secrets: secret, Enabled: a.Enabled && serves(a.ID)}
		out.Standby = a.Enabled && !out.Enabled && wire.Minor(g.describe) > 0
		if h.opts.HookURL != nil {
			out.HookUrl = h.opts.HookURL(a.ID)
		}
		req.Accounts = append(req.Accounts, out)
	}
	return req, problems
}

// configure sends the request. A plugin refuses a configuration as a whole, so accounts with faults
// are left out and the rest is sent again: one account's wrong password must not stop the other
// accounts.
func (g *generation) configure(ctx context.Context, req *pluginv1.ConfigureRequest) (problems []Problem, restart bool, err error) {
	for {
		if !req.GetValidateOnly() {
			g.mayServe(req, false)
		}
		more, resp, err := g.askConfigure(ctx, req)
		restart = resp.GetRestart()
		problems = append(problems, more...)
		if err == nil && !req.GetValidateOnly() && len(more) == 0 {
			if err = g.takeTraits(req.GetAccounts(), resp.GetAccounts()); err == nil {
				g.mayServe(req, true)
			}
		}
		if err == nil && !req.GetValidateOnly() && len(more) > 0 { // what was accepted before is in force
			g.off.mu.Lock()
			g.off.asked = nil
			g.off.mu.Unlock()
			g.tellOff()
		}
		if err != nil || req.GetValidateOnly() || len(more) == 0 || len(ownProblems(more)) > 0 {
			return problems, restart, err
		}
		if err := leaveOut(req, more); err != nil {
			return problems, restart, err
		}
	}
}

// leaveOut takes the accounts that have faults out of a request.
func leaveOut(req *pluginv1.ConfigureRequest, faults []Problem) error {
	before := len(req.GetAccounts())
	req.Accounts = slices.DeleteFunc(req.Accounts, func(a *pluginv1.Account) bool {
		return slices.ContainsFunc(faults, func(p Problem) bool { return p.Account.String() == a.GetId() })
	})
	if len(req.Accounts) == before { // the faults are of accounts that were not in the request
		return fmt.Errorf("%w: configure: faults of unknown accounts", errProtocol)
	}
	return nil
}

// takeTraits keeps what the plugin said of single accounts.
func (g *generation) takeTraits(asked []*pluginv1.Account, list []*pluginv1.AccountTraits) error {
	traits, err := wire.Traits(g.describe, asked, list)
	if err != nil {
		return fmt.Errorf("%w: configure: plugin %s: %w", errProtocol, g.p.id, err)
	}
	g.info.Accounts = traits
	g.budgets = make(map[conversation.AccountID]time.Duration, len(list))
	for _, t := range list {
		var id conversation.AccountID
		if ms := t.GetHookBudgetMs(); ms > 0 && wire.ParseID(&id, t.GetAccount()) == nil {
			g.budgets[id] = time.Duration(ms) * time.Millisecond
		}
	}
	return nil
}

func (g *generation) askConfigure(ctx context.Context, req *pluginv1.ConfigureRequest) (problems []Problem, resp *pluginv1.ConfigureResponse, err error) {
	ctx, cancel := context.WithTimeout(ctx, configureTimeout)
	defer cancel()
	// The pings find a frozen plugin long before this call's own deadline (PR11).
	defer afterClosed(g.gone, cancel)()
	resp, err = g.service.Configure(ctx, req)
	if err != nil {
		return nil, nil, g.callFailed(ctx, "configure", err)
	}
	for _, p := range resp.GetProblems() {
		out := Problem{Path: p.GetPath(), Code: p.GetCode(), Text: p.GetText()}
		if out.Account.UnmarshalText([]byte(p.GetAccount())) != nil {
			out.Account = conversation.AccountID{}
		}
		problems = append(problems, out)
	}
	return problems, resp, nil
}
