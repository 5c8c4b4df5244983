package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/gateway/api"
	"github.com/parley-gateway/parley/gateway/auth"
	"github.com/parley-gateway/parley/gateway/stream"
	"github.com/parley-gateway/parley/gateway/stream/streamtest"
)

// Who may do what, with this conversation, in this state [ASVS 8.2.2]? The tables below say it for
// every route and for every frame and command of the agents' socket. The users are described at
// people, the states at the constants chatting to setAside.
//
// An entry says who gets which answer: "ana dora: ended; sue; else: not_joined" allows it to sue,
// refuses ana and dora with the code ended, and everybody else with not_joined. "else" without a
// code allows it to everybody else.
type byState struct{ chat, ended, text, parked string }

func always(who string) byState { return byState{who, who, who, who} }

// answerTo is the answer that an entry has for a user: the code of the refusal, or "" if it is
// allowed.
func answerTo(t *testing.T, who, login string) string {
	t.Helper()
	for part := range strings.SplitSeq(who, ";") {
		logins, code, _ := strings.Cut(part, ":")
		for _, l := range strings.Fields(logins) {
			if l == login || l == "else" {
				return strings.TrimSpace(code)
			}
		}
	}
	t.Fatalf("%q says nothing of %s", who, login)
	return ""
}

// Entries that several rows share.
const (
	everybody   = "else"
	supervisors = "sue adam; else: denied"
	admins      = "adam; else: denied"
	mayRead     = "ana dora emil sue adam; else: not_found"
)

// joined allows only agents who have joined the conversation.
var joined = byState{
	chat: "ana; else: not_joined", ended: "ana dora emil: ended; else: not_joined",
	text: "ana; else: not_joined", parked: "else: not_joined",
}

// joinedReads allows only agents who have joined. Users who may read are told why they are refused;
// for others the conversation does not exist.
var joinedReads = byState{
	chat: "ana; dora emil sue adam: not_joined; else: not_found", ended: "ana dora emil sue adam: not_joined; else: not_found",
	text: "ana; dora emil sue adam: not_joined; else: not_found", parked: "ana dora emil sue adam: not_joined; else: not_found",
}

// atTools is joinedReads for what is not there: those who take part learn code.
func atTools(code string) byState {
	b := joinedReads
	b.chat, b.text = strings.Replace(b.chat, "ana;", "ana: "+code+";", 1), strings.Replace(b.text, "ana;", "ana: "+code+";", 1)
	return b
}

// route is one row of the table: a REST route, how to call it, and who may.
type route struct {
	name  string // as in the OpenAPI description
	at    string // the path, where it is not the name's path with {id} = the staged conversation
	body  string
	kind  string // the body's content type, when it is not JSON
	may   byState
	notes string  // the audit entry that an allowed call leaves: changed, or the action of a reading
	shows byState // for lists: who finds the conversation in the answer
}

// changed stands for an entry about a change of records. A reading leaves an entry only if the
// reader neither takes part in the conversation nor owns it while it is parked (SPEC Z5).
const changed = "change"

const uploadForm = "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\nhello\r\n--b--\r\n"

var routes = []route{
	{name: "GET /conversations", may: always(everybody), shows: byState{chat: "ana dora", ended: "ana dora", text: "ana dora", parked: "dora"}},
	{name: "GET /conversations", at: "/conversations?scope=recent&limit=1", may: always(everybody), notes: audit.ConversationsListed, shows: always("ana dora emil")},
	{name: "GET /conversations", at: "/conversations?scope=all&limit=1", may: always(supervisors), notes: audit.ConversationsListed, shows: always("sue adam")},
	{name: "GET /conversations/{id}", may: always(mayRead), notes: audit.SummaryRead},
	{name: "GET /conversations/{id}/events", may: always(mayRead), notes: audit.TranscriptRead},
	{name: "POST /conversations/{id}/messages", body: `{"client_id":"r{n}","parts":[{"kind":"text","text":"hi"}]}`, may: joined},
	{name: "POST /conversations/{id}/messages", body: `{"client_id":"r{n}","parts":[{"kind":"file","file":{"blob":"{file}","name":"a","mime":"text/plain","size":1}}]}`, may: joined},
	{name: "POST /conversations/{id}/files", body: uploadForm, kind: "multipart/form-data; boundary=b", may: byState{
		chat: joinedReads.chat, ended: "ana dora emil sue adam: ended; else: not_found", text: joinedReads.text, parked: joinedReads.parked,
	}},
	{name: "POST /conversations/{id}/grants", body: `{"purpose":"cobrowse"}`, may: joinedReads},
	{name: "GET /conversations/{id}/tools", may: joinedReads},
	{name: "POST /conversations/{id}/tools", body: `{"account":"{text account}"}`, may: atTools("no_tool")},
	{name: "GET /conversations/{id}/tools/{session}", at: "/conversations/{conv}/tools/{none}", may: atTools("no_such_session")},
	{name: "POST /conversations/{id}/tools/{session}/acts", at: "/conversations/{conv}/tools/{none}/acts", body: `{"action":"add"}`, may: atTools("no_such_session")},
	{name: "POST /conversations/{id}/tools/{session}/end", at: "/conversations/{conv}/tools/{none}/end", may: atTools("no_such_session")},
	{name: "GET /conversations/{id}/calls", may: joinedReads},
	{name: "POST /conversations/{id}/calls/{session}/commands", at: "/conversations/{conv}/calls/{none}/commands", body: `{"hang_up":{}}`, may: atTools("no_such_session")},
	{name: "PUT /conversations/{id}/supervision", body: `{"mode":"monitor"}`, notes: audit.Supervised, may: byState{
		chat: "sue; adam: logged_out; else: denied", ended: "sue adam: ended; else: denied", text: "sue; adam: logged_out; else: denied", parked: "sue adam: parked; else: denied"}},
	{name: "DELETE /conversations/{id}/supervision", may: byState{
		chat: "sue adam; else: denied", ended: "sue adam: ended; else: denied", text: "sue adam; else: denied", parked: "sue adam; else: denied"}},
	{name: "POST /conversations/{id}/notes", body: `{"client_id":"n{n}","parts":[{"kind":"text","text":"hi"}]}`, may: joined},
	{name: "GET /files/{id}/url", at: "/files/{file}/url", may: always(mayRead), notes: audit.FileRead},

	{name: "GET /me", may: always(everybody)},
	{name: "POST /me/password", body: `{"old":"wrong wrong","new":"right right right"}`, may: byState{chat: "else: credentials"}}, // no user here has a password
	{name: "GET /senders", may: always(everybody)},
	{name: "GET /accounts/{id}/templates", at: "/accounts/{text account}/templates", may: always("otto sue adam: unknown_account; else")},
	{name: "GET /directory", may: always(everybody)},
	{name: "GET /contacts", may: always(everybody)},
	{name: "GET /contacts/{id}", at: "/contacts/{contact}", may: always(everybody)},
	{name: "POST /contacts", body: `{"name":"New {n}"}`, may: byState{chat: everybody}, notes: changed},
	{name: "PUT /contacts/{id}", at: "/contacts/{contact}", body: `{"name":"Renamed {n}"}`, may: byState{chat: everybody}, notes: changed},
	{name: "DELETE /contacts/{id}", at: "/contacts/{doomed}", may: byState{chat: supervisors}, notes: changed},
	{name: "GET /board", may: always(supervisors)},
	{name: "GET /users", may: byState{chat: supervisors}},
	{name: "GET /users/{id}", at: "/users/{user}", may: byState{chat: supervisors}},
	{name: "POST /users", body: `{"login":"new{n}","name":"New","role":"agent"}`, may: byState{chat: admins}, notes: changed},
	{name: "PUT /users/{id}", at: "/users/{user}", body: `{"login":"tom","name":"Tom {n}","role":"agent"}`, may: byState{chat: admins}, notes: changed},
	{name: "PUT /users/{id}/password", at: "/users/{user}/password", body: `{"password":"a very good one"}`, may: byState{chat: admins}, notes: changed},
	{name: "GET /teams", may: byState{chat: everybody}},
	{name: "GET /teams/{id}", at: "/teams/{team}", may: byState{chat: everybody}},
	{name: "POST /teams", body: `{"name":"Team {n}"}`, may: byState{chat: admins}, notes: changed},
	{name: "PUT /teams/{id}", at: "/teams/{team}", body: `{"name":"Team {n}"}`, may: byState{chat: admins}, notes: changed},
	{name: "GET /skills", may: byState{chat: everybody}},
	{name: "GET /skills/{id}", at: "/skills/german", may: byState{chat: everybody}},
	{name: "POST /skills", body: `{"name":"skill{n}"}`, may: byState{chat: admins}, notes: changed},
	{name: "PUT /skills/{id}", at: "/skills/german", body: `{"name":"german","title":"German {n}"}`, may: byState{chat: admins}, notes: changed},
	{name: "GET /services", may: byState{chat: everybody}},
	{name: "GET /services/{id}", at: "/services/{service}", may: byState{chat: everybody}},
	{name: "POST /services", body: `{"name":"Service {n}","rules":{}}`, may: byState{chat: admins}, notes: changed},
	{name: "PUT /services/{id}", at: "/services/{spare}", body: `{"name":"Spare {n}","rules":{}}`, may: byState{chat: admins}, notes: changed},
	{name: "GET /accounts", may: byState{chat: admins}},
	{name: "GET /accounts/{id}", at: "/accounts/{toy}", may: byState{chat: admins}},
	{name: "POST /accounts", body: `{"plugin":"toy","name":"Toy {n}","service":"{spare}","enabled":false,"secrets":{"token":"x"}}`, may: byState{chat: admins}, notes: changed},
	{name: "PUT /accounts/{id}", at: "/accounts/{toy}", body: `{"plugin":"toy","name":"Toy {n}","service":"{spare}","enabled":false,"secrets":{"token":"x"}}`, may: byState{chat: admins}, notes: changed},
	{name: "GET /plugins", may: byState{chat: admins}},
	{name: "GET /audit", may: byState{chat: admins}},
	{name: "GET /doctor", may: byState{chat: admins}},
	{name: "POST /apply", body: "skills:\n  - name: applied{n}\n", kind: "application/yaml", may: byState{chat: admins}, notes: changed},
	// These two work without a session; see TestNoSessionNoAnswer.
	{name: "POST /login", body: `{"login":"ana","password":"wrong wrong"}`},
	{name: "POST /logout"},
}

// order is one row of the table: a frame or command of the agents' socket, and who may give it.
type order struct {
	name  string
	what  string // tells apart entries of the same name
	with  string // the frame's further fields
	may   byState
	notes string // the action of the audit entry that it leaves, if it reads
}

var orders = []order{
	{name: "accept", with: `"offer":"{offer}"`, may: byState{
		chat: "ben; else: offer_gone", ended: "else: offer_gone", text: "ben; else: offer_gone", parked: "else: offer_gone"}},
	{name: "reject", with: `"offer":"{offer}"`, may: byState{
		chat: "ben; else: offer_gone", ended: "else: offer_gone", text: "ben; else: offer_gone", parked: "else: offer_gone"}},
	{name: "send", with: `"conversation":"{conv}","client_id":"s{n}","parts":[{"kind":"text","text":"hi"}]`, may: joined},
	{name: "send", what: "a file of it", with: `"conversation":"{conv}","client_id":"s{n}","parts":[{"kind":"file","file":{"blob":"{file}","name":"a","mime":"text/plain","size":1}}]`, may: joined},
	{name: "send", what: "no file of it", with: `"conversation":"{conv}","client_id":"s{n}","parts":[{"kind":"file","file":{"blob":"{none}","name":"a","mime":"text/plain","size":1}}]`, may: byState{
		chat: "ana: invalid; else: not_joined", ended: "ana dora emil: ended; else: not_joined", text: "ana: invalid; else: not_joined", parked: "else: not_joined"}},
	{name: "note", with: `"conversation":"{conv}","client_id":"n{n}","parts":[{"kind":"text","text":"hi"}]`, may: joined},
	{name: "supervise", with: `"conversation":"{conv}","mode":"coach"`, may: byState{
		chat: "sue; adam: logged_out; else: denied", ended: "sue adam: ended; else: denied", text: "sue; adam: logged_out; else: denied", parked: "sue adam: parked; else: denied"}, notes: audit.Supervised},
	{name: "unsupervise", with: `"conversation":"{conv}"`, may: byState{
		chat: "sue adam; else: denied", ended: "sue adam: ended; else: denied", text: "sue adam; else: denied", parked: "sue adam; else: denied"}},
	{name: "mark", with: `"conversation":"{conv}","read":1`, may: always("ana dora emil; else: not_joined")},
	{name: "typing", with: `"conversation":"{conv}","on":true`, may: byState{
		chat: "ana; else: unheard", ended: "else: unheard", text: "ana; else: unheard", parked: "else: unheard"}},
	{name: "end", with: `"conversation":"{conv}","queue":true`, may: joined},
	{name: "wrapup", with: `"conversation":"{conv}","disposition":"sold"`, may: byState{
		chat: "dora; else: no_wrapup", ended: "ana dora; else: no_wrapup", text: "dora; else: no_wrapup", parked: "dora; else: no_wrapup"}},
	{name: "wrapup", what: "with what its service has not", with: `"conversation":"{conv}","disposition":"lost"`, may: byState{
		chat: "dora: invalid; else: no_wrapup", ended: "ana dora: invalid; else: no_wrapup", text: "dora: invalid; else: no_wrapup", parked: "dora: invalid; else: no_wrapup"}},
	{name: "invite", with: `"conversation":"{conv}","target":{"kind":"service","service":"{service}"}`, may: joined},
	{name: "cancel_invite", with: `"conversation":"{conv}","request":"{request}"`, may: joined},
	{name: "cancel_invite", what: "that is none", with: `"conversation":"{conv}","request":"{none}"`, may: byState{
		chat: "ana: no_such_request; else: not_joined", ended: joined.ended, text: "ana: no_such_request; else: not_joined", parked: joined.parked}},
	{name: "flag", with: `"conversation":"{conv}","on":true`, may: joined},
	{name: "link_contact", with: `"conversation":"{conv}","contact":"{contact}"`, may: always("ana dora sue adam; else: denied")},
	{name: "link_contact", what: "that does not exist", with: `"conversation":"{conv}","contact":"{none}"`, may: always("else: not_found")},
	{name: "join", with: `"conversation":"{conv}"`, may: byState{ // adam does not handle conversations, so he is not logged in as an agent who could take one
		chat:  "ana: already_joined; sue; adam: logged_out; else: denied",
		ended: "sue: ended; adam: logged_out; else: denied",
		text:  "ana: already_joined; ben cem dora emil sue; adam: logged_out; otto: denied", parked: "adam: logged_out; otto: denied; else"}},
	{name: "settle", with: `"conversation":"{conv}","message":"{message}","outcome":"sent"`, may: byState{
		chat:  "ana dora emil sue adam: no_such_message; else: denied", // a chat's messages have no delivery status that could be settled
		ended: "ana dora emil sue adam: no_such_message; else: denied",
		text:  "ana dora emil sue adam; else: denied", parked: "ana dora emil sue adam; else: denied"}},
	{name: "settle", what: "no message of it", with: `"conversation":"{conv}","message":"{none}","outcome":"sent"`,
		may: always("ana dora emil sue adam: no_such_message; else: denied")},
	{name: "text", with: `"service":"{service}","to":"{number}","client_id":"t{n}"`, may: byState{
		text:   "cem otto sue: denied; adam: logged_out; else: thread_open",
		parked: "cem otto sue: denied; adam: logged_out; else: thread_open"}},
	{name: "text", what: "somebody else", with: `"service":"{service}","to":"{other number}","client_id":"t{n}"`,
		may: byState{chat: "cem otto sue: denied; adam: logged_out; else"}},

	{name: "watch", with: `"conversation":"{conv}","after":0`, may: always(mayRead), notes: audit.TranscriptRead},
	{name: "watch", what: "none", with: `"conversation":"{none}","after":0`, may: byState{chat: "else: not_found"}},
	{name: "unwatch", with: `"conversation":"{conv}"`, may: always(everybody)},
	{name: "board", with: `"on":true`, may: always(supervisors)},
	{name: "ping", may: byState{chat: everybody}},
	{name: "hello", may: byState{chat: everybody}},
	{name: "cmd", may: byState{chat: "else: malformed"}}, // a command without a name
	{name: "ready", may: byState{chat: "adam: logged_out; else"}},
	{name: "not_ready", may: byState{chat: "adam: logged_out; else"}},
	{name: "recent_seen", may: always(everybody)},
	{name: "logout", may: byState{chat: everybody}},
}

// in returns the states that an entry covers, with who may in each.
func (b byState) in() map[string]string {
	all := map[string]string{chatting: b.chat, over: b.ended, texting: b.text, setAside: b.parked}
	maps.DeleteFunc(all, func(_, who string) bool { return who == "" })
	return all
}

var statusOf = map[string]int{
	"unauthenticated": 401, "credentials": 401, "denied": 403, "forged": 403, "not_found": 404, "unknown_account": 404, "not_joined": 409, "ended": 409,
	"no_tool": 409, "no_such_session": 409, "logged_out": 409, "parked": 409,
}

// refused checks that the answer tells nothing of the conversation except what the request named
// itself, and that the refused order changed nothing.
func (f *floor) refused(t *testing.T, what, named, got string) {
	t.Helper()
	for _, secret := range f.secrets() {
		if strings.Contains(got, secret) && !strings.Contains(named, secret) {
			t.Errorf("%s is refused, but told %s: %s", what, secret, got)
		}
	}
	if n := f.eventsSince(); n > 0 {
		t.Errorf("%s is refused, but the log has %d events more", what, n)
	}
	for _, line := range f.trailSince() {
		if line.Action != audit.AccessDenied {
			t.Errorf("%s is refused, but the audit trail has %+v", what, line)
		}
	}
}

// noted checks which audit entry an allowed order leaves.
func (f *floor) noted(t *testing.T, what, login, state, want string) {
	t.Helper()
	lines := f.trailSince()
	takesPart := login == "ana" || login == "dora" // or owns it while parked: the conversation's own log tells of the reading
	if want == "" || want != changed && takesPart {
		if len(lines) > 0 {
			t.Errorf("%s leaves %+v in the audit trail, want nothing", what, lines)
		}
		return
	}
	if len(lines) == 1 && want == changed && lines[0].Action != audit.AccessDenied {
		want = lines[0].Action // a change may have any action
	}
	if len(lines) != 1 || lines[0].Actor.User != f.users[login].ID || lines[0].Action != want {
		t.Errorf("%s leaves %+v in the audit trail, want one line (%s)", what, lines, want)
	}
}

func TestWhoMayByREST(t *testing.T) {
	f := newFloor(t)
	f.eachRoute(t)
	for _, state := range []string{chatting, over, texting, setAside} {
		f.stage(state)
		for _, r := range routes {
			who, walked := r.may.in()[state]
			for login := range people {
				if !walked {
					break
				}
				what := fmt.Sprintf("%s: %s %s by %s", state, r.name, r.at, login)
				want := answerTo(t, who, login)
				got, path := f.call(login, r)
				outsider := login == "ben" || login == "cem" || login == "otto"
				for _, secret := range f.secrets() {
					if outsider && strings.Contains(got.text, secret) && !strings.Contains(path, secret) {
						t.Errorf("%s tells %s: %s", what, secret, got.text)
					}
				}
				if want != "" {
					f.want(what, got, statusOf[want], "code", want)
					f.refused(t, what, path, got.text)
					continue
				}
				if got.status < 200 || got.status > 299 {
					t.Errorf("%s: %d %s, want it done", what, got.status, got.text)
				}
				list, shown := r.shows.in()[state]
				shows := slices.Contains(strings.Fields(list), login)
				if shown && strings.Contains(got.text, f.conv.String()) != shows {
					t.Errorf("%s: the conversation is in the answer: %v, want %v", what, !shows, shows)
				}
				if notes := r.notes; !shown || shows {
					f.noted(t, what, login, state, notes)
				} else {
					f.noted(t, what, login, state, "")
				}
				if f.eventsSince() > 0 {
					f.stage(state)
				}
			}
		}
	}
}

// call calls a route as a user.
func (f *floor) call(as string, r route, header ...string) (got answer, path string) {
	f.t.Helper()
	method, at, _ := strings.Cut(r.name, " ")
	path = strings.ReplaceAll(at, "{id}", "{conv}")
	if r.at != "" {
		path = r.at
	}
	path = f.fill(path)
	if r.kind != "" {
		header = append(header, "Content-Type", r.kind)
	}
	var body any
	if r.body != "" {
		body = f.fill(r.body)
	}
	return f.do(as, method, path, body, header...), path
}

// eachRoute checks that the table has exactly the routes of the API.
func (f *floor) eachRoute(t *testing.T) {
	t.Helper()
	var doc struct {
		Paths map[string]map[string]json.RawMessage
	}
	if err := json.Unmarshal([]byte(f.do("", "GET", "/openapi.json", nil).text), &doc); err != nil {
		t.Fatal(err)
	}
	there := map[string]bool{}
	for path, ops := range doc.Paths {
		for method := range ops {
			there[strings.ToUpper(method)+" "+strings.TrimPrefix(path, api.Prefix)] = false
		}
	}
	for _, r := range routes {
		if _, ok := there[r.name]; !ok {
			t.Errorf("%s is no route any more", r.name)
		}
		there[r.name] = true
	}
	for name, walked := range there {
		if !walked {
			t.Errorf("%s: say who may call it", name)
		}
	}
}

func TestWhoMayBySocket(t *testing.T) {
	names := append(stream.CommandNames(), streamtest.FrameNames(t)...)
	for _, o := range orders {
		if !slices.Contains(names, o.name) {
			t.Errorf("%s is no frame or command any more", o.name)
		}
	}
	for _, name := range names {
		if !slices.ContainsFunc(orders, func(o order) bool { return o.name == name }) {
			t.Errorf("%s: say who may give it", name)
		}
	}
	f := newFloor(t)
	for _, state := range []string{chatting, over, texting, setAside} {
		f.stage(state)
		for _, o := range orders {
			who, walked := o.may.in()[state]
			for login := range people {
				if !walked {
					break
				}
				what := fmt.Sprintf("%s: %s %s by %s", state, o.name, o.what, login)
				want := answerTo(t, who, login)
				code, told, named := f.give(login, o)
				if code != want {
					t.Errorf("%s: code %q, want %q", what, code, want)
				}
				if want != "" && want == code {
					if want == "thread_open" { // names the conversation's owner, so that the agent can join (N17)
						named += f.conv.String()
					}
					f.refused(t, what, named, told)
					continue
				}
				f.noted(t, what, login, state, o.notes)
				if f.eventsSince() > 0 {
					f.stage(state)
				}
			}
		}
	}
	// otto takes part in nothing, so his socket must never have told what the others did.
	f.sockets["otto"].settled("end")
	told := f.sockets["otto"].told.String()
	for _, secret := range []string{customerName, customerText, fileName} {
		if strings.Contains(told, secret) {
			t.Errorf("otto's socket told %s", secret)
		}
	}
}

// give sends an order on a user's socket. It returns the code of the refusal, what the socket
// answered, and what was sent.
func (f *floor) give(login string, o order) (code, told, said string) {
	f.t.Helper()
	l := f.sockets[login]
	with := f.fill(o.with)
	if with != "" {
		with = "," + with
	}
	id := fmt.Sprint(f.count)
	l.settled("before " + id)
	errorOf := func(frames []streamtest.Frame) (code string) {
		for _, fr := range frames {
			if c := fr.Str("error", "code"); c != "" && (fr.Str("t") == "error" || fr.Str("id") == id) {
				code = c
			}
		}
		return code
	}
	switch o.name {
	case "hello":
		f.connect(login).close() // a user without a socket gets one for this order
		return "", "", ""
	case "watch":
		said = `{"t":"watch"` + with + `}`
		l.Say(said)
		l.Say(`{"t":"cmd","id":"after ` + id + `","cmd":"reject","offer":"` + conversation.NewID[conversation.OfferID]().String() + `"}`) // a command that does nothing; its answer shows that the order before it was dealt with
		frames, told := l.upTo(said, func(fr streamtest.Frame) bool { return fr.Str("id") == "after "+id })
		shown := func(fr streamtest.Frame) bool {
			return fr.Str("t") == "event" && fr.Str("conversation") == f.conv.String()
		}
		if code = errorOf(frames); code == "" && !slices.ContainsFunc(frames, shown) {
			l.upTo("the events of what is watched", shown)
		}
		return code, told, said
	case "typing", "unwatch", "board", "ping":
		said = `{"t":"` + o.name + `"` + with + `}`
		l.Say(said)
		frames, told := l.settled(id)
		code = errorOf(frames)
		if o.name == "typing" && !f.heard(login) {
			code = "unheard"
		}
		if o.name == "board" {
			l.Say(`{"t":"board","on":false}`)
		}
		return code, told, said
	case "cmd":
		said = `{"t":"cmd","id":"` + id + `"}`
	default:
		said = `{"t":"cmd","id":"` + id + `","cmd":"` + o.name + `"` + with + `}`
	}
	l.Say(said)
	frames, told := l.upTo(said, func(fr streamtest.Frame) bool { return fr.Str("t") == "ack" && fr.Str("id") == id })
	return errorOf(frames), told, said
}

// heard reports whether others were told that somebody types since the last call.
func (f *floor) heard(login string) (heard bool) {
	f.t.Helper()
	for {
		items, err := f.feed.Poll(f.t.Context(), 1000)
		f.must(f.t, err)
		if len(items) == 0 {
			return heard
		}
		for _, i := range items {
			heard = heard || i.Signal != nil && i.Signal.Kind == plugin.SignalTyping && i.Signal.Who.Agent == f.users[login].ID
		}
	}
}

// Without a valid session there is no answer: neither without credentials, nor with a plugin's
// grant in place of a token, a session that has ended, a disabled user's session, or a browser's
// session used by another site's page [ASVS 8.3.1, 3.5.1].
func TestNoSessionNoAnswer(t *testing.T) {
	f := newFloor(t)
	f.stage(chatting)
	grant := f.do("ana", "POST", "/conversations/"+f.conv.String()+"/grants", `{"purpose":"cobrowse"}`).get("grant")
	ended := f.session(f.users["ana"].ID)
	f.tokens["ended"] = ended
	f.want("logout", f.do("ended", "POST", "/logout", nil), 204)
	f.tokens["disabled"] = f.session(f.users["tom"].ID)
	tom := f.users["tom"]
	tom.Disabled = true
	_, err := f.dir.PutUser(t.Context(), tom)
	f.must(t, err)
	cookie := f.cookie("rita")
	f.eventsSince()
	f.trailSince()
	for name, header := range map[string][]string{
		"nothing": nil, "a grant": {"Authorization", "Bearer " + grant}, "an ended session": {"Authorization", "Bearer " + ended},
		"a disabled user's session": {"Authorization", "Bearer " + f.tokens["disabled"]},
		"a cookie from elsewhere":   {"Cookie", cookie, "Origin", "https://evil.example.com", "Sec-Fetch-Site", "cross-site", auth.CSRFHeader, "1"},
		"a cookie without header":   {"Cookie", cookie, "Sec-Fetch-Site", "same-origin"},
	} {
		browser := strings.HasPrefix(name, "a cookie")
		for _, r := range routes {
			what := r.name + " with " + name
			want := "unauthenticated"
			switch {
			case browser && strings.HasPrefix(r.name, "GET "):
				continue // the answer shows rita what she may see; the other site's page cannot read it
			case browser:
				want = "forged"
			case r.name == "POST /login":
				want = "credentials"
			case r.name == "POST /logout": // answers without error and deletes the cookie
				got, _ := f.call("", r, header...)
				f.want(what, got, 204)
				continue
			}
			got, path := f.call("", r, header...)
			f.want(what, got, statusOf[want], "code", want)
			if want == "credentials" {
				f.trailSince()
			}
			f.refused(t, what, path, got.text)
		}
		want := 401
		if name == "a cookie from elsewhere" {
			want = 403
		} else if browser {
			continue // browsers cannot send that header with a socket
		}
		if c, status := f.dial("", header...); c != nil || status != want {
			t.Errorf("a socket with %s: %d, want %d", name, status, want)
		}
	}
}
