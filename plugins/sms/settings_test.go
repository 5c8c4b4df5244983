package sms_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/plugins/sdk"
	"github.com/parley-gateway/parley/plugins/sdk/sdktest"
	"github.com/parley-gateway/parley/plugins/sms"
)

// faults returns "path code" for each problem that Configure reports.
func faults(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	problems, ok := errors.AsType[sdk.Problems](err)
	if !ok {
		t.Fatalf("configure: %v, want problems", err)
	}
	var out []string
	for _, p := range problems {
		if p.Account != "a" || p.Text == "" {
			t.Errorf("problem %+v without account or text", p)
		}
		out = append(out, p.Path+" "+p.Code)
	}
	slices.Sort(out)
	return out
}

func TestSettings(t *testing.T) {
	for name, tc := range map[string]struct {
		more map[string]any
		want []string
	}{
		"good":              {nil, nil},
		"short code":        {map[string]any{"number": "55501"}, nil},
		"service only":      {map[string]any{"number": "", "messaging_service_sid": serviceSid}, nil},
		"no sender":         {map[string]any{"number": ""}, []string{"/number required"}},
		"national number":   {map[string]any{"number": "0800123"}, []string{"/number invalid"}},
		"no account":        {map[string]any{"account_sid": ""}, []string{"/account_sid required"}},
		"many":              {map[string]any{"account_sid": "AC1", "messaging_service_sid": "x", "signature": "off", "carrier": "pigeon"}, []string{"/account_sid invalid", "/carrier invalid", "/messaging_service_sid invalid", "/signature invalid"}},
		"base, query":       {map[string]any{"base_url": "https://x.example/?a=b"}, []string{"/base_url invalid"}},
		"base, user":        {map[string]any{"base_url": "https://u:p@x.example"}, []string{"/base_url invalid"}},
		"base, plain":       {map[string]any{"base_url": "http://x.example"}, []string{"/base_url invalid"}},
		"base, plain, here": {map[string]any{"base_url": "http://localhost:8080/twilio/"}, nil},
		"webhook":           {map[string]any{"webhook_url": "/hooks"}, []string{"/webhook_url invalid"}},
		"webhook, host":     {map[string]any{"webhook_url": "https://my_host.example/hooks"}, []string{"/webhook_url invalid"}},
		"unknown key":       {map[string]any{"colour": "red"}, []string{" invalid"}},
		"wrong type":        {map[string]any{"media": "yes"}, []string{" invalid"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config("http://127.0.0.1:1", tc.more)
			if diff := cmp.Diff(tc.want, faults(t, sms.New().Configure(t.Context(), &cfg))); diff != "" {
				t.Errorf("problems (-want +got)\n%s", diff)
			}
		})
	}
	t.Run("secrets", func(t *testing.T) {
		cfg := config("http://127.0.0.1:1", nil)
		cfg.Accounts[0].Secrets = map[string]sdk.Secret{"api_key_sid": sdk.NewSecret("SK1")}
		want := []string{"/api_key_secret required", "/auth_token required"}
		if diff := cmp.Diff(want, faults(t, sms.New().Configure(t.Context(), &cfg))); diff != "" {
			t.Errorf("problems (-want +got)\n%s", diff)
		}
	})
}

// TestValidateOnly: the credentials are tried and nothing is changed.
func TestValidateOnly(t *testing.T) {
	w := newWorld(t, nil)
	for name, tc := range map[string]struct {
		change func(*sdk.Config)
		want   []string
	}{
		"good":        {func(*sdk.Config) {}, nil},
		"wrong token": {func(c *sdk.Config) { c.Accounts[0].Secrets["auth_token"] = sdk.NewSecret("wrong") }, []string{"/auth_token unauthorized"}},
		"wrong key": {func(c *sdk.Config) {
			c.Accounts[0].Secrets["api_key_sid"], c.Accounts[0].Secrets["api_key_secret"] = sdk.NewSecret("SK1"), sdk.NewSecret("no")
		}, []string{"/api_key_secret unauthorized"}},
		"nobody there": {func(c *sdk.Config) { c.Accounts[0].Settings = settings("http://127.0.0.1:1", nil) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(w.carrier.URL, nil)
			cfg.ValidateOnly = true
			tc.change(&cfg)
			if diff := cmp.Diff(tc.want, faults(t, w.Configure(cfg))); diff != "" {
				t.Errorf("problems (-want +got)\n%s", diff)
			}
		})
	}
	if got := w.Hook(post(hookURL, inbound(nil))); got.Status != 200 {
		t.Errorf("a webhook afterwards: got %d %q, want 200", got.Status, got.Reason)
	}
}

func TestAccountStatus(t *testing.T) {
	d := newDouble(t)
	cfg := config(d.URL, nil)
	second := cfg.Accounts[0]
	second.ID = "b"
	cfg.Accounts = append(cfg.Accounts, second)
	h := sdktest.Start(t, sms.New(), sdktest.Options{Config: cfg})
	for _, id := range []sdk.AccountID{"a", "b"} {
		h.WaitStatus(func(s sdk.AccountStatus) bool { return s.Account == id && s.OK })
	}
	wrong := config(d.URL, nil)
	wrong.Accounts[0].Secrets = map[string]sdk.Secret{"auth_token": sdk.NewSecret("wrong")}
	if err := h.Configure(wrong); err != nil {
		t.Fatal(err)
	}
	h.WaitStatus(func(s sdk.AccountStatus) bool { return s.Account == "a" && s.Code == "unauthorized" })
}
