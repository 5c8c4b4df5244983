package sdk_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/parley-gateway/parley/plugins/sdk"
)

func TestSecretPrintsMask(t *testing.T) {
	const value = "hunter2"
	s := sdk.NewSecret(value)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s, "in", struct{ S sdk.Secret }{s}, "map", map[string]sdk.Secret{"k": s})
	asJSON, err := json.Marshal(map[string]any{"s": s, "p": &s})
	if err != nil {
		t.Fatal(err)
	}
	forms := map[string]string{
		"%v": fmt.Sprintf("%v", s), "%+v": fmt.Sprintf("%+v", s), "%#v": fmt.Sprintf("%#v", s), "%s": fmt.Sprintf("%s", s),
		"%q": fmt.Sprintf("%q", s), "%x": fmt.Sprintf("%x", s), "%d": fmt.Sprintf("%d", s),
		"in a struct": fmt.Sprintf("%+v", struct{ S sdk.Secret }{s}), "pointer": fmt.Sprintf("%v", &s),
		"in a config": fmt.Sprintf("%+v", sdk.Config{Secrets: map[string]sdk.Secret{"a": s}}),
		"json":        string(asJSON), "slog": log.String(),
	}
	for form, text := range forms {
		if strings.Contains(text, value) || strings.Contains(text, fmt.Sprintf("%x", value)) {
			t.Errorf("%s shows the secret: %s", form, text)
		}
	}
	if s.Reveal() != value || s.IsZero() || !(sdk.Secret{}).IsZero() {
		t.Error("Reveal or IsZero")
	}
}

func TestAccounts(t *testing.T) {
	type settings struct {
		Number string `json:"number"`
	}
	needsNumber := func(a *sdk.Account, s *settings) sdk.Problems {
		if s.Number == "" {
			return sdk.Problems{{Account: a.ID, Path: "/number", Code: "required", Text: "number is missing"}}
		}
		return nil
	}
	good := sdk.Config{Accounts: []sdk.Account{{ID: "a", Settings: json.RawMessage(`{"number":"1"}`)}}}
	for name, tc := range map[string]struct {
		cfg  sdk.Config
		want []string // "account path code"
		kept string   // the number of account a afterwards
	}{
		"accepted":      {sdk.Config{Accounts: []sdk.Account{{ID: "a", Settings: json.RawMessage(`{"number":"2"}`)}}}, nil, "2"},
		"validate only": {sdk.Config{ValidateOnly: true}, nil, "1"},
		"unknown key": {
			sdk.Config{Accounts: []sdk.Account{{ID: "b", Settings: json.RawMessage(`{"nummer":"2"}`)}}},
			[]string{"b  invalid"}, "1",
		},
		"all problems at once": {
			sdk.Config{Accounts: []sdk.Account{{ID: "b", Settings: json.RawMessage(`7`)}, {ID: "c"}}},
			[]string{"b  invalid", "c /number required"}, "1",
		},
		"trailing text": {
			sdk.Config{Accounts: []sdk.Account{{ID: "b", Settings: json.RawMessage(`{"number":"2"} x`)}}},
			[]string{"b  invalid"}, "1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var accounts sdk.Accounts[settings]
			if _, ok := accounts.Get("a"); ok {
				t.Fatal("an account before any configuration")
			}
			if err := accounts.Configure(&good, needsNumber); err != nil {
				t.Fatal(err)
			}
			err := accounts.Configure(&tc.cfg, needsNumber)
			var problems sdk.Problems
			if err != nil && !errors.As(err, &problems) {
				t.Fatalf("got %v, want Problems", err)
			}
			var got []string
			for _, p := range problems {
				got = append(got, fmt.Sprintf("%s %s %s", p.Account, p.Path, p.Code))
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("problems: (-want +got)\n%s", diff)
			}
			if s, _ := accounts.Get("a"); s.Number != tc.kept {
				t.Errorf("number afterwards: got %q, want %q", s.Number, tc.kept)
			}
		})
	}
}

func TestPlainText(t *testing.T) {
	got := sdk.PlainText([]sdk.Part{sdk.Text{Text: "a"}, sdk.File{Name: "f"}, sdk.Text{Text: "b"}})
	if got != "a\nb" {
		t.Errorf("got %q, want a and b", got)
	}
}
