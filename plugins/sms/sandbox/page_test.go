package sandbox_test

import (
	"bufio"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/plugins/sms/sandbox"
)

func TestPage(t *testing.T) {
	d := newDouble(t, sandbox.Options{}, "")
	inline := regexp.MustCompile(`(?i)\son[a-z]+=|<style|\sstyle=|<script(?:\s[^>]*)?>[^<]|https?://`)
	for path, kind := range map[string]string{"/phones": "text/html", "/phones/phones.js": "text/javascript", "/phones/phones.css": "text/css", "/phones/icon.svg": "image/svg+xml"} {
		resp, err := http.Get(d.url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		policy := resp.Header.Get("Content-Security-Policy")
		if resp.StatusCode != 200 || !strings.HasPrefix(resp.Header.Get("Content-Type"), kind) ||
			policy != "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" {
			t.Errorf("%s: %d %v", path, resp.StatusCode, resp.Header)
		}
		if path == "/phones" {
			if at := inline.FindString(string(body)); at != "" {
				t.Errorf("%s: has inline or foreign content: %q", path, at)
			}
		}
	}
}

func TestPhonesLive(t *testing.T) {
	g := newGateway(t)
	d := newDouble(t, sandbox.Options{}, g.URL)
	resp, err := http.Get(d.url + "/_sandbox/events")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func(event, text string) {
		t.Helper()
		for lines.Scan() {
			if lines.Text() != "event: "+event || !lines.Scan() {
				continue
			}
			if strings.Contains(lines.Text(), text) {
				return
			}
		}
		t.Fatalf("the stream ended before %s with %s", event, text)
	}
	next("rules", `"faults":[]`)
	if code := d.control("POST", "/_sandbox/phones", map[string]string{"phone": "+15550100150"}, nil); code != 201 {
		t.Fatalf("phone: %d", code)
	}
	next("phone", "+15550100150")
	if _, err := d.Send(sandbox.Text{From: "+15550100150", To: number, Body: "hello out there"}); err != nil {
		t.Fatal(err)
	}
	next("message", `"state":"sending"`)
	next("message", `"state":"delivered"`)
	if _, err := d.AddBehaviour(sandbox.Behaviour{Count: 1, Steps: []sandbox.Step{{Status: "undelivered", ErrorCode: 30003}}}); err != nil {
		t.Fatal(err)
	}
	next("rules", "30003")
	d.call("POST", "/Messages.json", sms("To", "+15550100150"), nil)
	next("message", `"problem":{"code":30003,"text":"Unreachable destination handset"}`)

	var thread struct{ Messages []map[string]any }
	if d.control("GET", "/_sandbox/phones/+15550100150/messages", nil, &thread); len(thread.Messages) != 2 || thread.Messages[0]["mine"] != true || thread.Messages[1]["state"] != "failed" {
		t.Errorf("thread %v", thread.Messages)
	}
	var list struct{ Phones []map[string]any }
	if d.control("GET", "/_sandbox/phones", nil, &list); len(list.Phones) != 1 || list.Phones[0]["count"] != 2.0 {
		t.Errorf("phones %v", list.Phones)
	}
}
