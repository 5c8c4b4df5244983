package kit_test

import (
	"bytes"
	"encoding/xml"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-gateway/parley/plugins/sdk/kit"
	"github.com/parley-gateway/parley/plugins/sdk/kit/misbehave"
)

// faultEnv is the environment variable that makes the test binary a plugin with that fault.
const faultEnv = "KIT_TEST_FAULT"

func TestMain(m *testing.M) {
	if fault, ok := os.LookupEnv(faultEnv); ok {
		misbehave.Serve(misbehave.Fault(fault))
	}
	goleak.VerifyTestMain(m)
}

func options(fault misbehave.Fault) kit.Options {
	return kit.Options{
		Exec: os.Args[0],
		// A binary built for the race detector would sleep a second before it exits.
		Env:      []string{faultEnv + "=" + string(fault), "GORACE=atexit_sleep_ms=0"},
		Fixtures: misbehave.Fixtures(), Patience: 2 * time.Second, MaxRSS: 80 << 20,
	}
}

// TestGoodPluginsPass runs the kit against a channel, and against a plugin that is none. Each check
// passes for at least one of them.
func TestGoodPluginsPass(t *testing.T) {
	passed := map[string]bool{}
	for _, fault := range []misbehave.Fault{"", misbehave.NoChannel} {
		report, err := kit.Run(t.Context(), options(fault))
		if err != nil {
			t.Fatal(err)
		}
		var table bytes.Buffer
		if err := report.WriteText(&table); err != nil {
			t.Fatal(err)
		}
		if !report.OK() {
			t.Errorf("%q: want no check to fail, got:\n%s", fault, &table)
		}
		for _, c := range report.Checks {
			passed[c.Group+"/"+c.Name] = passed[c.Group+"/"+c.Name] || c.Status == kit.Passed
		}
	}
	for name, ok := range passed {
		if !ok {
			t.Errorf("%s was passed by none", name)
		}
	}
}

// TestEveryCheckHasItsFault checks that for every check there is a plugin that fails it.
func TestEveryCheckHasItsFault(t *testing.T) {
	found := map[string]misbehave.Fault{}
	for fault, check := range misbehave.Faults() {
		found[check] = fault
	}
	report, err := kit.Run(t.Context(), kit.Options{Exec: "/nonexistent"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range report.Checks {
		if found[c.Group+"/"+c.Name] == "" {
			t.Errorf("no bad plugin breaks the rule of %s/%s", c.Group, c.Name)
		}
	}
}

func TestBadPluginsFail(t *testing.T) {
	for fault, check := range misbehave.Faults() {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel() // most of the cases wait for something that never comes
			opts := options(fault)
			opts.Checks = []string{check}
			report, err := kit.Run(t.Context(), opts)
			if err != nil {
				t.Fatal(err)
			}
			if len(report.Checks) != 1 || report.Checks[0].Status != kit.Failed {
				t.Fatalf("plugin with %s: got %+v, want %s to fail", fault, report.Checks, check)
			}
			t.Log(report.Checks[0].Detail)
		})
	}
}

func TestReportFormats(t *testing.T) {
	report := kit.Report{Plugin: "p", Version: "1", Checks: []kit.Check{
		{Group: "g", Name: "good", Rule: "r", Status: kit.Passed, Duration: time.Second},
		{Group: "g", Name: "bad", Rule: "r", Status: kit.Failed, Detail: "a < b & c", Log: "panic"},
		{Group: "g", Name: "none", Rule: "r", Status: kit.Skipped, Detail: "not declared"},
	}}
	var text, junit bytes.Buffer
	if err := report.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "1 passed, 1 failed, 1 skipped") || !strings.Contains(text.String(), "a < b & c") {
		t.Errorf("text report:\n%s", &text)
	}
	if err := report.WriteJUnit(&junit); err != nil {
		t.Fatal(err)
	}
	var suite struct {
		Tests    int `xml:"tests,attr"`
		Failures int `xml:"failures,attr"`
		Cases    []struct {
			Failure *struct {
				Message string `xml:"message,attr"`
			} `xml:"failure"`
		} `xml:"testcase"`
	}
	if err := xml.Unmarshal(junit.Bytes(), &suite); err != nil {
		t.Fatalf("JUnit report: %v\n%s", err, &junit)
	}
	if suite.Tests != 3 || suite.Failures != 1 || suite.Cases[1].Failure == nil || suite.Cases[1].Failure.Message != "a < b & c" {
		t.Errorf("JUnit report: got %+v\n%s", suite, &junit)
	}
	if report.OK() {
		t.Error("a report with a failure is OK")
	}
}
