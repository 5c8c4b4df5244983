package system_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
)

// carried is an outbound message in the carrier's own ledger.
type carried struct {
	SID        string
	To, Body   string
	Status     string
	Deliveries []struct{ Status, State string } // of its status callbacks
}

// told reports whether a status callback that says what became of the message
// was answered with a 2xx.
func (m *carried) told() bool {
	for _, d := range m.Deliveries {
		if d.State == "answered" && (d.Status == "sent" || d.Status == "delivered" || d.Status == "read" || d.Status == "failed" || d.Status == "undelivered") {
			return true
		}
	}
	return false
}

// sandbox asks the carrier's control API; out, when not nil, takes the answer.
func (d *demo) sandbox(method, path string, in, out any) {
	d.t.Helper()
	var info struct {
		Sandbox struct {
			TwilioURL string `json:"twilio_url"`
		}
	}
	b, err := os.ReadFile(filepath.Join(d.data, "demo.json"))
	if err == nil {
		err = json.Unmarshal(b, &info)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	var body bytes.Buffer
	if in != nil {
		if err := json.NewEncoder(&body).Encode(in); err != nil {
			d.t.Fatal(err)
		}
	}
	req, err := http.NewRequestWithContext(d.t.Context(), method, info.Sandbox.TwilioURL+path, &body)
	if err != nil {
		d.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode >= 300 {
		d.t.Fatalf("%s %s: %s", method, path, res.Status)
	}
	if out == nil {
		return
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		d.t.Fatalf("%s %s: %v", method, path, err)
	}
}

// outbound are the messages that the carrier took, oldest first.
func (d *demo) outbound() []carried {
	d.t.Helper()
	var ledger struct{ Outbound []carried }
	d.sandbox(http.MethodGet, "/_sandbox/ledger", nil, &ledger)
	return ledger.Outbound
}

// carried are the messages that the carrier took, by text.
func (d *demo) carried() map[string][]carried {
	d.t.Helper()
	out := map[string][]carried{}
	for _, m := range d.outbound() {
		out[m.Body] = append(out[m.Body], m)
	}
	return out
}

// statuses are the last status of each of our messages, by text, with how
// often the text is in the log.
func (d *demo) statuses() (status map[string]string, count map[string]int) {
	d.t.Helper()
	status, count, _ = d.messages()
	return status, count
}

// messages are statuses, and the texts of all messages in the order of the log.
func (d *demo) messages() (status map[string]string, count map[string]int, texts []string) {
	d.t.Helper()
	status, count = map[string]string{}, map[string]int{}
	text := map[string]string{} // by message id
	dec := json.NewDecoder(strings.NewReader(string(d.parley("log"))))
	for dec.More() {
		var e struct {
			Type string
			Head struct{ ID, Message, Status string }
			Body struct{ Parts []struct{ Text string } }
		}
		if err := dec.Decode(&e); err != nil {
			d.t.Fatalf("parley log: %v", err)
		}
		switch e.Type {
		case "message/1":
			text[e.Head.ID] = e.Body.Parts[0].Text
			count[e.Body.Parts[0].Text]++
			texts = append(texts, e.Body.Parts[0].Text)
		case "message.status/1":
			status[text[e.Head.Message]] = e.Head.Status
		}
	}
	return status, count, texts
}
