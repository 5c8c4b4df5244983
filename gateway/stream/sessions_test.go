package stream_test

import (
	"context"
	"net/http"
	"strings"
	"sync"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/core/readers"
	"github.com/parley-gateway/parley/core/sessions"
	"github.com/parley-gateway/parley/gateway/auth"
)

func typingSignal(conv conversation.ConversationID) readers.Signal {
	return readers.Signal{Conversation: conv, Kind: plugin.SignalTyping, On: true, Who: conversation.Author{Kind: conversation.Customer}}
}

// fakeSessions finds identities by bearer token.
type fakeSessions struct {
	mu       sync.Mutex
	ids      map[string]auth.Identity
	ended    map[sessions.ID]bool
	watchers map[sessions.ID][]func()
	rights   map[sessions.ID][]func()
}

func newFakeSessions() *fakeSessions {
	return &fakeSessions{
		ids: map[string]auth.Identity{}, ended: map[sessions.ID]bool{},
		watchers: map[sessions.ID][]func(){}, rights: map[sessions.ID][]func(){},
	}
}

func (f *fakeSessions) add(login string, role directory.Role) auth.Identity {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := auth.Identity{Login: login, Name: strings.ToUpper(login[:1]) + login[1:], Role: role}
	id.User = conversation.NewID[conversation.AgentID]()
	copy(id.Session[:], login)
	f.ids[login] = id
	return id
}

// grant gives a user a privilege.
func (f *fakeSessions) grant(login, privilege string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := f.ids[login]
	id.Privileges = append(id.Privileges, privilege)
	f.ids[login] = id
	for _, fn := range f.rights[id.Session] {
		fn()
	}
}

func (f *fakeSessions) Authenticate(r *http.Request) (auth.Identity, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	token, bearer := auth.Token(r)
	id, ok := f.ids[token]
	if !ok || f.ended[id.Session] {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	if !bearer && r.Header.Get("Origin") != "http://"+r.Host {
		return auth.Identity{}, auth.ErrForged
	}
	return id, nil
}

func (f *fakeSessions) Current(id auth.Identity) (auth.Identity, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended[id.Session] {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	return f.ids[id.Login], nil
}

func (f *fakeSessions) Watch(id auth.Identity, fn func()) func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers[id.Session] = append(f.watchers[id.Session], fn)
	return func() {}
}

func (f *fakeSessions) WatchRights(id auth.Identity, fn func()) func() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rights[id.Session] = append(f.rights[id.Session], fn)
	return func() {}
}

// end revokes a session; told says whether its watchers are called at once.
func (f *fakeSessions) end(id sessions.ID, told bool) {
	f.mu.Lock()
	f.ended[id] = true
	fns := f.watchers[id]
	f.mu.Unlock()
	if told {
		for _, fn := range fns {
			fn()
		}
	}
}

// noRecords is a directory that has an audit trail but no records.
type noRecords struct {
	mu    sync.Mutex
	trail []audit.Entry
}

func (*noRecords) Snapshot() *directory.Snapshot { return new(directory.Snapshot) }

func (n *noRecords) Append(_ context.Context, e audit.Entry) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.trail = append(n.trail, e)
	return nil
}
