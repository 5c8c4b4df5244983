package api_test

import (
	"bytes"
	"encoding/json"
	"image"
	"image/png"
	"slices"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/gateway/api"
	"github.com/parley-gateway/parley/gateway/stream/streamtest"
)

// Reasons why a route or a command leaves no audit entry for a reading.
const (
	noContent  = "shows nothing of a conversation but ids"
	ownWork    = "needs to take part, or makes one take part: the conversation's log tells of it"
	notOfThem  = "is about records or people of the house, not about conversations"
	addresses  = "is the address book, which every agent may read"
	ownSession = "is about one's own session or state"
	changes    = "changes records, which leaves a line of its own"
)

// Every access to a recorded conversation leaves a line in the audit trail
// (SPEC Z5), whatever the route and its parameters. A route that is in neither
// table fails here: say which it is.
func TestEveryRouteIsAuditedOrSaysWhyNot(t *testing.T) {
	type reading struct{ query, action string }
	audited := map[string][]reading{
		"GET /conversations":             {{"?scope=all", audit.ConversationsListed}, {"?scope=all&phase=open&limit=1", audit.ConversationsListed}, {"?scope=recent", ""}},
		"GET /conversations/{id}":        {{"", audit.SummaryRead}},
		"GET /conversations/{id}/events": {{"", audit.TranscriptRead}, {"?after=1", audit.TranscriptRead}, {"?after=1000", audit.TranscriptRead}, {"?limit=1", audit.TranscriptRead}},
		"GET /files/{id}/url":            {{"", audit.FileRead}, {"?thumbnail=true", audit.FileRead}},
	}
	whyNot := map[string]string{
		"POST /login": ownSession, "POST /logout": ownSession, "GET /me": ownSession, "POST /me/password": ownSession,
		"POST /conversations/{id}/messages": ownWork, "POST /conversations/{id}/files": ownWork, "POST /conversations/{id}/grants": ownWork,
		"GET /conversations/{id}/tools": ownWork, "POST /conversations/{id}/tools": ownWork, "GET /conversations/{id}/tools/{session}": ownWork,
		"POST /conversations/{id}/tools/{session}/acts": ownWork, "POST /conversations/{id}/tools/{session}/end": ownWork,
		"GET /conversations/{id}/calls": ownWork, "POST /conversations/{id}/calls/{session}/commands": ownWork,
		"PUT /conversations/{id}/supervision": "leaves a line of its own", "DELETE /conversations/{id}/supervision": "leaves a line of its own",
		"POST /conversations/{id}/notes": ownWork,
		"GET /contacts":                  addresses, "GET /contacts/{id}": addresses,
		"POST /contacts": changes, "PUT /contacts/{id}": changes, "DELETE /contacts/{id}": changes,
		"GET /senders": notOfThem, "GET /accounts/{id}/templates": notOfThem, "GET /directory": notOfThem, "GET /board": notOfThem, "GET /audit": notOfThem, "GET /doctor": notOfThem,
		"GET /users": notOfThem, "GET /users/{id}": notOfThem, "POST /users": changes, "PUT /users/{id}": changes, "PUT /users/{id}/password": changes,
		"GET /teams": notOfThem, "GET /teams/{id}": notOfThem, "POST /teams": changes, "PUT /teams/{id}": changes,
		"GET /skills": notOfThem, "GET /skills/{id}": notOfThem, "POST /skills": changes, "PUT /skills/{id}": changes,
		"GET /services": notOfThem, "GET /services/{id}": notOfThem, "POST /services": changes, "PUT /services/{id}": changes,
		"GET /accounts": notOfThem, "GET /accounts/{id}": notOfThem, "POST /accounts": changes, "PUT /accounts/{id}": changes,
		"GET /plugins": notOfThem, "POST /apply": changes,
	}
	h := newHouse(t, nil)
	conv := h.router.Open(streamtest.Service(), streamtest.Account())
	h.router.MakeJoin(h.users["ana"].ID, conv)
	var pic bytes.Buffer
	if err := png.Encode(&pic, image.NewRGBA(image.Rect(0, 0, 600, 400))); err != nil {
		t.Fatal(err)
	}
	file := h.upload("ana", conv, "file", "pic.png", pic.Bytes()).get("file.blob")
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(h.do("", "GET", "/openapi.json", nil).text), &doc); err != nil {
		t.Fatal(err)
	}
	for path, ops := range doc.Paths {
		path = strings.TrimPrefix(path, api.Prefix)
		for method := range ops {
			route := strings.ToUpper(method) + " " + path
			if (audited[route] == nil) == (whyNot[route] == "") {
				t.Errorf("%s: say whether it is audited or why not", route)
			}
			for _, r := range audited[route] {
				id := conv.String()
				if strings.HasPrefix(path, "/files/") {
					id = file
				}
				p := strings.ReplaceAll(path, "{id}", id) + r.query
				before := len(h.trail())
				h.want("by a supervisor: "+p, h.do("sue", "GET", p, nil), 200)
				lines := h.trail()[before:]
				switch {
				case r.action == "" && len(lines) > 0:
					t.Errorf("%s shows nothing, but leaves %+v", p, lines)
				case r.action == "":
				case len(lines) != 1 || lines[0].Action != r.action || lines[0].Actor.User != h.users["sue"].ID || lines[0].Actor.IP == "":
					t.Errorf("%s read by a supervisor leaves %+v, want one %s with user and address", p, lines, r.action)
				case lines[0].ObjectID != conv.String() && !slices.Contains(lines[0].Objects, conv.String()):
					t.Errorf("%s leaves %+v, which does not name the conversation", p, lines[0])
				case r.action == audit.FileRead && !slices.Contains(lines[0].Objects, file):
					t.Errorf("%s leaves %+v, which does not name the file", p, lines[0])
				}
				if strings.Contains(r.query, "scope=all") {
					continue
				}
				before = len(h.trail())
				h.want("by who takes part: "+p, h.do("ana", "GET", p, nil), 200)
				if lines := h.trail()[before:]; len(lines) > 0 {
					t.Errorf("%s read by who takes part leaves %+v, want nothing", p, lines)
				}
			}
		}
	}
	for route := range whyNot {
		method, path, _ := strings.Cut(route, " ")
		if doc.Paths[api.Prefix+path][strings.ToLower(method)] == nil {
			t.Errorf("%s is no route any more", route)
		}
	}
}

// A reading that cannot be written to the audit trail is not answered.
func TestNoTrailNoReading(t *testing.T) {
	h := newHouse(t, nil)
	conv := h.router.Open(streamtest.Service(), streamtest.Account())
	h.breakAudit()
	for _, path := range []string{"/conversations?scope=all", "/conversations/" + conv.String(), "/conversations/" + conv.String() + "/events?after=1"} {
		if a := h.do("sue", "GET", path, nil); a.status < 500 || strings.Contains(a.text, "Carla") || strings.Contains(a.text, conv.String()) {
			t.Errorf("%s without a trail: %d %s, want an error without content", path, a.status, a.text)
		}
	}
}
