// Package misbehave is a small plugin, written without the SDK, that breaks one rule of the
// contract on request. The kit must pass it without a fault and fail it with each fault: this tests
// the kit. It also shows in a few hundred lines what a plugin in another language has to do.
package misbehave

import (
	"encoding/json"

	"github.com/parley-gateway/parley/plugins/sdk/kit"
)

// Fault names a broken rule.
type Fault string

// NoChannel is no fault: the plugin is a tool and a bot, and no channel.
const NoChannel = "no-channel"

// faults maps each fault to the check that must find it.
var faults = map[Fault]string{ //nolint:gochecknoglobals // a table that never changes
	"prints-before-handshake": "handshake/line",
	"socket-elsewhere":        "handshake/directory",
	"ignores-cookie":          "handshake/cookie",
	"ignores-stdin":           "handshake/lifeline",
	"ignores-sigterm":         "handshake/sigterm",
	"no-version":              "descriptor/complete",
	"unstable-descriptor":     "descriptor/stable",
	"broken-schema":           "descriptor/schemas",
	"slash-in-route":          "descriptor/routes",
	"configures-once":         "configuration/accept",
	"impossible-schema":       "configuration/schema",
	"accepts-malformed":       "configuration/malformed",
	"accepts-invalid":         "configuration/invalid",
	"applies-validate-only":   "configuration/validate-only",
	"logs-secrets":            "configuration/secrets",
	"no-hello":                "session/hello",
	"wrong-pong":              "session/ping",
	"blocks-reader":           "session/ping-under-load",
	"fails-on-unknown-frame":  "session/unknown-frame",
	"one-session":             "session/reconnect",
	"huge-frames":             "session/frames",
	"doubles-results":         "commands/one-result",
	"loses-order":             "commands/order",
	"skips-begin":             "commands/begin",
	"ignores-refusal":         "commands/begin-refused",
	"repeats-sends":           "commands/redelivery",
	"ignores-unknown-command": "commands/unknown-kind",
	"ignores-lookup":          "commands/lookup",
	"random-keys":             "commands/process",
	"seq-from-zero":           "events/seq",
	"forgets-unacknowledged":  "events/resend",
	"ignores-retry":           "events/retry",
	"results-need-credit":     "events/results-without-credit",
	"ignores-window":          "events/window",
	"hook-without-events":     "hooks/samples",
	"hook-reads-clock":        "hooks/pure",
	"hook-without-key":        "hooks/identity",
	"answers-hook-twice":      "hooks/many",
	"dies-of-garbage":         "hooks/garbage",
	"dies-of-account":         "hooks/account",
	"drains-too-early":        "drain/settles",
	"drains-too-long":         "drain/deadline",
	"exits-with-error":        "drain/exit",
	"drops-second-attempts":   "crash and freeze/kill",
	"keys-of-process":         "crash and freeze/kill-hooks",
	"dies-of-pause":           "crash and freeze/freeze",
	"leaves-child":            "crash and freeze/orphans",
	"no-http":                 "http/serves",
	"trusts-everybody":        "http/identity-missing",
	"trusts-any-identity":     "http/identity-forged",
	"trusts-nobody":           "http/identity-good",
	"garbled-metrics":         "metrics/text",
	"series-per-thread":       "metrics/series",
	"sleeps-for-a-minute":     "descriptor/bounds",
	"sings":                   "descriptor/bounds",
	"talks-without-channel":   "descriptor/no-channel",
	"no-channel-for-nothing":  "descriptor/no-channel",
	"traits-of-strangers":     "configuration/traits",
	"traits-when-enabled":     "configuration/traits",
	"refuses-on-standby":      "configuration/standby",
	"works-on-standby":        "configuration/standby",
	"keeps-working":           "configuration/standby",
	"gives-up-slowly":         "configuration/standby",
	"begins-read-marks":       "commands/mark-read",
	"ignores-read-marks":      "commands/mark-read",
	"types-again":             "commands/typing",
	"edits-nothing":           "commands/reference",
	"calls-anybody":           "calls/unsupported",
	"too-many-templates":      "events/templates",
	"templates-once":          "events/templates",
	"answers-with-new-ids":    "bots/answers-once",
	"answers-by-chance":       "bots/answers-once",
	"does-not-read":           "bots/answers-once",
	"tool-without-service":    "tools/declared",
	"service-without-tool":    "tools/declared",
	"starts-twice":            "tools/start",
	"forgets-sessions":        "tools/start",
	"ends-once":               "tools/end",
	"huge-panel":              "tools/panel",
	"garbled-panel":           "tools/panel",
	"acts-twice":              "tools/act",
	"refuses-repeats":         "tools/act",
	"repeats-without-effects": "tools/act",
	"sessions-in-memory":      "tools/restart",
	"acts-in-memory":          "tools/restart",
	"dies-of-revision":        "tools/act",
	"leaks-memory":            "resources/memory",
	"leaks-descriptors":       "resources/descriptors",
	"spins":                   "resources/idle",
	"logs-text":               "resources/log",
}

// Faults returns every fault with the check, "group/name", that finds it.
func Faults() map[Fault]string {
	out := make(map[Fault]string, len(faults))
	for f, check := range faults {
		out[f] = check
	}
	return out
}

// Fixtures are the fixtures with which the kit tries this plugin.
func Fixtures() kit.Fixtures {
	return kit.Fixtures{
		Settings: json.RawMessage(`{}`),
		Secrets:  map[string]string{"key": "fixture-secret-1"},
		Accounts: []kit.Account{{
			ID: "account-1", Settings: json.RawMessage(`{"number":"+15005550006"}`),
			Secrets: map[string]string{"token": "fixture-secret-2"},
		}},
		Invalid: []kit.Invalid{{Name: "no number", Account: json.RawMessage(`{}`)}},
		Hooks: []kit.Hook{
			{
				Name: "message", Body: `{"id":"m1","from":"+15005550001","text":"Hello"}`,
				Events: []kit.HookEvent{{Kind: "message", Thread: "+15005550001", DedupeKey: "m1"}},
			},
			{
				Name: "media", Body: `{"id":"m2","from":"+15005550001","media":"picture"}`,
				Events: []kit.HookEvent{{Kind: "deferred", Thread: "+15005550001", DedupeKey: "m2"}},
			},
			{Name: "malformed", Body: `no JSON`, Status: 400},
		},
	}
}
