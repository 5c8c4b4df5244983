package sms

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// WebhookOverrides is the fragment to append to a number's webhook URL at Twilio, so that Twilio
// sends a webhook again if it was not answered: by default it does so only when it could not
// connect, and a 5xx loses the text (PR2; Twilio, "Webhooks connection overrides").
const WebhookOverrides = "rc=3&rp=5xx,ct,rt&tt=14000"

// RepeatsWebhook reports whether the overrides in a webhook URL make Twilio send a webhook again
// after a 5xx.
func RepeatsWebhook(webhook string) bool {
	_, fragment, _ := strings.Cut(webhook, "#")
	q, err := url.ParseQuery(fragment)
	if err != nil {
		return false
	}
	policy := strings.Split(q.Get("rp"), ",")
	count := 1
	if q.Has("rc") {
		if count, err = strconv.Atoi(q.Get("rc")); err != nil {
			return false
		}
	}
	return count > 0 && (slices.Contains(policy, "5xx") || slices.Contains(policy, "all"))
}
