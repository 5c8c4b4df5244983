package system_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-gateway/parley/drive"
)

// object is JSON for the carrier's control API.
type object = map[string]any

// PR4, FT33: whatever the carrier does with a request, the message's status is
// what the carrier's ledger says, or unknown; and nothing is sent twice.
func TestTextCarrierFaults(t *testing.T) {
	t.Parallel() // it waits for the carrier most of the time
	const refusal = `{"code":21211,"message":"Invalid 'To' Phone Number","more_info":"https://www.twilio.com/docs/errors/21211","status":400}`
	cases := []struct {
		name  string
		fault object // "to" and "count" are added
		want  fate
		taken int // by the carrier's ledger
	}{
		{"reset before the body is read", nil, fate{"unknown", "", "no_answer"}, 0}, // first: such a fault names no number
		{"500", object{"kind": "status", "status": 500}, fate{"unknown", "", "http_500"}, 0},
		{"503 although taken", object{"kind": "status", "status": 503, "after": true}, fate{Status: "delivered"}, 1},
		{"refused", object{"kind": "status", "status": 400, "body": refusal}, fate{"failed", "address", "21211"}, 0},
		{"200 with an error body", object{"kind": "status", "status": 200, "body": refusal}, fate{"failed", "address", "21211"}, 0},
		{"200 with another body", object{"kind": "status", "status": 200, "body": "<html>Welcome</html>"}, fate{"unknown", "", "bad_answer"}, 0},
		{"200 with another body although taken", object{"kind": "status", "status": 200, "body": "{}", "after": true}, fate{Status: "delivered"}, 1},
		{"hang", object{"kind": "hang"}, fate{"unknown", "", "no_answer"}, 0},
		{"hang although taken", object{"kind": "hang", "after": true}, fate{Status: "delivered"}, 1},
		{"reset after reading", object{"kind": "reset"}, fate{"unknown", "", "no_answer"}, 0},
		{"reset although taken", object{"kind": "reset", "after": true}, fate{Status: "delivered"}, 1},
		{"429 once", object{"kind": "status", "status": 429, "retry_after": "4"}, fate{Status: "delivered"}, 1},
		{"no fault", object{"kind": "latency", "delay_ms": 1}, fate{Status: "delivered"}, 1},
	}
	d := startDemo(t, "")
	k := d.desk("ana")
	begun := make([]drive.Begun, len(cases))
	for i, c := range cases {
		to := fmt.Sprintf("+1212555%04d", i)
		if c.fault == nil {
			d.sandbox(http.MethodPost, "/_sandbox/faults", object{"kind": "reset", "count": 1}, nil)
			begun[i] = k.begin(to, c.name)
			eventually(t, "outcome of "+c.name, 15*time.Second, func() bool { return k.last(begun[i].Message) != fate{} })
			continue
		}
		c.fault["to"], c.fault["count"] = to, 1
		d.sandbox(http.MethodPost, "/_sandbox/faults", c.fault, nil)
		begun[i] = k.begin(to, c.name)
		if c.name == "429 once" {
			k.say(begun[i].Conversation, "waits behind it")
		}
	}
	unknown := 0 // outcomes of attempts, also of those that a callback settles
	for i, c := range cases {
		eventually(t, c.want.Status+" for "+c.name, 25*time.Second, func() bool { return k.last(begun[i].Message) == c.want })
		if c.want.Status == "unknown" || c.fault["after"] == true {
			unknown++
		}
	}
	eventually(t, "answer to each request", 25*time.Second, func() bool {
		return metric(d.metrics(), `parley_plugin_sms_sends_total{`, `result="unknown"`) == unknown
	})
	taken := d.carried()
	for i, c := range cases {
		if got := len(taken[c.name]); got != c.taken {
			t.Errorf("%s: the carrier took it %d times, want %d", c.name, got, c.taken)
		}
		if h := k.history(begun[i].Message); k.last(begun[i].Message) != c.want || !forward(h) {
			t.Errorf("%s: statuses %v, want %v in the end, never backwards", c.name, h, c.want)
		}
	}
	// In the carrier's order: who is throttled waits, and who comes after them in
	// the same conversation; others do not.
	var order []string
	for _, m := range d.outbound() {
		order = append(order, m.Body)
	}
	other, first, later := slices.Index(order, "no fault"), slices.Index(order, "429 once"), slices.Index(order, "waits behind it")
	if other < 0 || first < other || later < first {
		t.Errorf("the carrier took %q", order)
	}
}

// PR5, FT32, Y4: status callbacks in any order, repeated, and before the send is
// answered end in the same status.
func TestTextCallbacksPermuted(t *testing.T) {
	t.Parallel()
	d := startDemo(t, "")
	k := d.desk("ana")
	type sending struct {
		to, text, message string
		want              fate
		steps             []object
	}
	var all []*sending
	for _, set := range []struct {
		reports []string
		want    fate
	}{
		{[]string{"sent", "delivered", "read", "failed"}, fate{Status: "read"}},
		{[]string{"sent", "delivered", "failed"}, fate{Status: "delivered"}},
		{[]string{"sent", "failed"}, fate{Status: "failed", Code: "30003"}},
	} {
		for _, order := range permutations(set.reports) {
			s := &sending{to: fmt.Sprintf("+1212555%04d", len(all)), text: strings.Join(order, " "), want: set.want}
			for _, status := range append(slices.Clone(order), order...) { // each comes twice
				step := object{"status": status}
				if status == "failed" {
					step["error_code"] = 30003
				}
				s.steps = append(s.steps, step)
			}
			d.sandbox(http.MethodPost, "/_sandbox/behaviours", object{
				"to": s.to, "count": 1, "steps": s.steps, "early": len(all) % (len(s.steps) + 1),
			}, nil)
			all = append(all, s)
		}
	}
	for _, s := range all {
		s.message = k.begin(s.to, s.text).Message
	}
	eventually(t, "answer to each callback", 25*time.Second, func() bool {
		taken := d.carried()
		return !slices.ContainsFunc(all, func(s *sending) bool {
			ms := taken[s.text]
			return len(ms) != 1 || len(ms[0].Deliveries) != len(s.steps)
		})
	})
	taken := d.carried()
	status, _ := d.statuses()
	for _, s := range all {
		for _, delivery := range taken[s.text][0].Deliveries {
			if delivery.State != "answered" {
				t.Errorf("%s: callback %s is %s, want it answered with a 2xx", s.text, delivery.Status, delivery.State)
			}
		}
		eventually(t, "word on "+s.text, 5*time.Second, func() bool { return k.last(s.message).Status == status[s.text] })
		if h := k.history(s.message); k.last(s.message) != s.want || !forward(h) {
			t.Errorf("callbacks %s: statuses %v, want %v in the end, never backwards", s.text, h, s.want)
		}
	}
}

// metric adds up the samples whose line has all of these words.
func metric(text string, words ...string) (sum int) {
	for line := range strings.Lines(text) {
		if slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) }) {
			continue
		}
		f := strings.Fields(line)
		n, err := strconv.ParseFloat(f[len(f)-1], 64)
		if err == nil {
			sum += int(n)
		}
	}
	return sum
}

func permutations(in []string) (out [][]string) {
	if len(in) == 0 {
		return [][]string{nil}
	}
	for i := range in {
		for _, p := range permutations(slices.Delete(slices.Clone(in), i, i+1)) {
			out = append(out, append([]string{in[i]}, p...))
		}
	}
	return out
}
