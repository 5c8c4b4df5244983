package kit

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
)

func configurationChecks() []check {
	return []check{
		{
			group: "configuration", name: "accept", run: checkAccept,
			rule: "the sample configuration is accepted, as often as it comes",
		},
		{
			group: "configuration", name: "schema", run: checkSample,
			rule: "the sample configuration satisfies the declared schemas",
		},
		{
			group: "configuration", name: "malformed", run: checkMalformed,
			rule: "settings that are not JSON are refused with a problem, and the accepted configuration stays in force",
		},
		{
			group: "configuration", name: "invalid", run: checkInvalid,
			needs: func(s *subject) string {
				if len(s.opts.Fixtures.Invalid) == 0 {
					return "fixtures hold no invalid configuration"
				}
				return ""
			},
			rule: "each invalid configuration of the fixtures is refused with problems that have a code and a text",
		},
		{
			group: "configuration", name: "validate-only", run: checkValidateOnly,
			rule: "validate_only changes nothing",
		},
		{
			group: "configuration", name: "secrets", run: checkSecrets,
			rule: "secrets show up neither in Describe, in problems, in metrics nor in anything that it prints",
		},
	}
}

func checkAccept(ctx context.Context, s *subject) error {
	p, err := s.configured(ctx)
	if err != nil {
		return err
	}
	return s.accept(ctx, p)
}

func checkSample(_ context.Context, s *subject) error {
	if text := s.desc.GetSettingsSchema(); text != "" && len(s.opts.Fixtures.Settings) > 0 {
		if err := conforms("settings", text, string(s.opts.Fixtures.Settings), s.opts.Fixtures.Secrets); err != nil {
			return err
		}
	}
	for _, a := range s.opts.Fixtures.Accounts {
		if text := s.desc.GetAccountSchema(); text != "" && len(a.Settings) > 0 {
			if err := conforms("account", text, string(a.Settings), a.Secrets); err != nil {
				return fmt.Errorf("account %s: %w", a.ID, err)
			}
		}
	}
	return nil
}

// conforms checks settings as an administrator writes them against the schema: each secret is put
// in at its path first.
func conforms(name, schema, text string, secrets map[string]string) error {
	compiled, err := compile(name, schema)
	if err != nil {
		return err
	}
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return fmt.Errorf("%s settings are not JSON: %w", name, err)
	}
	for path, value := range secrets {
		putIn(doc, strings.Split(path, "/"), value)
	}
	if err := compiled.Validate(doc); err != nil {
		return fmt.Errorf("%s settings do not satisfy the schema: %w", name, err)
	}
	return nil
}

// putIn sets the value at path; if something on the way is not an object, nothing is set and the
// schema reports it.
func putIn(doc any, path []string, value string) {
	obj, ok := doc.(map[string]any)
	switch {
	case !ok:
	case len(path) == 1:
		obj[path[0]] = value
	default:
		if obj[path[0]] == nil {
			obj[path[0]] = map[string]any{}
		}
		putIn(obj[path[0]], path[1:], value)
	}
}

func checkMalformed(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	before, err := s.probe(ctx, ses, 1)
	if err != nil {
		return err
	}
	if s.desc.GetAccountSchema() != "" {
		err = s.refused(ctx, p, func(c *pluginv1.ConfigureRequest) { c.Accounts[0].Settings = `{"unfinished` })
	} else if s.desc.GetSettingsSchema() != "" {
		err = s.refused(ctx, p, func(c *pluginv1.ConfigureRequest) { c.Settings = `{"unfinished` })
	}
	if err != nil {
		return err
	}
	return s.same(ctx, p, ses, before)
}

// refused checks that the plugin reports problems, each with code and text. A failed call counts,
// too, since the plugin has refused.
func (s *subject) refused(ctx context.Context, p *process, edit func(*pluginv1.ConfigureRequest)) error {
	resp, err := s.configure(ctx, p, edit)
	if err != nil {
		return nil //nolint:nilerr // a refusal is what is wanted
	}
	if len(resp.GetProblems()) == 0 {
		return errors.New("it was accepted")
	}
	for _, problem := range resp.GetProblems() {
		if problem.GetCode() == "" || problem.GetText() == "" {
			return errors.New("a problem lacks its code or text")
		}
	}
	return nil
}

// probe tries what the sample configuration makes possible and describes what happened, for a
// comparison with a later probe.
func (s *subject) probe(ctx context.Context, ses *wirehost.Session, n int) (string, error) {
	if f := &s.opts.Fixtures; s.desc.GetHook() != nil && len(f.Hooks) > 0 {
		r, err := answer(ctx, ses, f.hook(&f.Hooks[0], uint64(n)), hookLimit(s))
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("hook %s: status %d, %d events", f.Hooks[0].Name, r.GetStatus(), len(r.GetEvents())), nil
	}
	if needsCommands(s) == "" {
		c := s.command(n, 1)
		if err := ses.Command(c); err != nil {
			return "", err
		}
		r, err := result(ctx, ses, c.GetCommandId(), s.opts.Patience)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("command: %v %v", r.GetOutcome(), r.GetErrorKind()), nil
	}
	return "alive", nil
}

// same checks that a probe has the same result as before.
func (s *subject) same(ctx context.Context, p *process, ses *wirehost.Session, before string) error {
	after, err := s.probe(ctx, ses, 2)
	if err != nil {
		return err
	}
	if before != after {
		return fmt.Errorf("the accepted configuration is no longer in force: %s, then %s", before, after)
	}
	return alive(ctx, p, ses)
}

func checkInvalid(ctx context.Context, s *subject) error {
	p, err := s.configured(ctx)
	if err != nil {
		return err
	}
	for _, in := range s.opts.Fixtures.Invalid {
		for _, only := range []bool{true, false} {
			err := s.refused(ctx, p, func(c *pluginv1.ConfigureRequest) {
				c.ValidateOnly = only
				if len(in.Settings) > 0 {
					c.Settings = string(in.Settings)
				}
				if len(in.Account) > 0 {
					c.Accounts[0].Settings = string(in.Account)
				}
			})
			if err != nil {
				return fmt.Errorf("%s: %w", in.Name, err)
			}
		}
	}
	return s.accept(ctx, p)
}

func checkValidateOnly(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	before, err := s.probe(ctx, ses, 1)
	if err != nil {
		return err
	}
	if _, err := s.configure(ctx, p, func(c *pluginv1.ConfigureRequest) {
		c.ValidateOnly, c.Revision = true, 2
		c.Accounts = nil
	}); err != nil {
		return err
	}
	return s.same(ctx, p, ses, before)
}

func checkSecrets(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	if _, err := s.probe(ctx, ses, 1); err != nil {
		return err
	}
	d, err := p.describe(ctx)
	if err != nil {
		return err
	}
	said := map[string]string{"Describe": d.String()}
	if resp, err := s.configure(ctx, p, func(c *pluginv1.ConfigureRequest) {
		c.ValidateOnly = true
		c.Accounts[0].Settings = `{"unfinished`
	}); err == nil {
		said["a problem"] = resp.String()
	} else {
		said["an error of Configure"] = err.Error()
	}
	if m, err := p.Metrics(ctx, &pluginv1.MetricsRequest{}); err == nil {
		said["Metrics"] = string(m.GetText())
	}
	said["its output"] = p.output()
	for where, text := range said {
		for _, secret := range s.opts.Fixtures.secretValues() {
			if secret != "" && strings.Contains(text, secret) {
				return fmt.Errorf("a secret shows up in %s", where)
			}
		}
	}
	return nil
}
