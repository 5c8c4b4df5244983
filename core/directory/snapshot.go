package directory

import (
	"maps"
	"slices"
	"strings"

	"github.com/parley-gateway/parley/core/conversation"
)

// Snapshot holds all records that are read often, as of one version. It is immutable and safe for
// concurrent use; slices and maps in its answers are shared and must not be changed.
type Snapshot struct {
	version  int64
	users    index[conversation.AgentID, User]
	teams    index[conversation.TeamID, Team]
	skills   index[string, Skill]
	services index[conversation.ServiceID, Service]
	accounts index[conversation.AccountID, Account]
	hashes   map[conversation.AgentID]string // password hashes; missing: no password
	serves   map[conversation.AgentID][]conversation.ServiceID
	servedBy map[conversation.ServiceID][]conversation.AgentID
}

// index finds records of one kind by id and by name.
type index[K comparable, T any] struct {
	list   []T // ordered by name
	byID   map[K]int
	byName map[string]int
}

func (x *index[K, T]) get(id K) (rec T, ok bool) {
	i, ok := x.byID[id]
	if ok {
		rec = x.list[i]
	}
	return rec, ok
}

func (x *index[K, T]) named(name string) (rec T, ok bool) {
	i, ok := x.byName[name]
	if ok {
		rec = x.list[i]
	}
	return rec, ok
}

func (x *index[K, T]) clone() index[K, T] {
	return index[K, T]{list: slices.Clone(x.list), byID: maps.Clone(x.byID), byName: maps.Clone(x.byName)}
}

// put adds or replaces a record; the list is ordered again only by sort.
func (x *index[K, T]) put(id K, oldName, name string, rec T) {
	if x.byID == nil {
		x.byID, x.byName = map[K]int{}, map[string]int{}
	}
	i, ok := x.byID[id]
	if ok {
		x.list[i] = rec
		delete(x.byName, oldName)
	} else {
		i = len(x.list)
		x.list = append(x.list, rec)
		x.byID[id] = i
	}
	x.byName[name] = i
}

func (x *index[K, T]) sort(key func(T) (K, string)) {
	slices.SortFunc(x.list, func(a, b T) int {
		_, an := key(a)
		_, bn := key(b)
		return strings.Compare(an, bn)
	})
	for i, rec := range x.list {
		id, name := key(rec)
		x.byID[id], x.byName[name] = i, i
	}
}

// Names by which records are found. Names differing in case only are the same.
func userKey(u User) (conversation.AgentID, string)         { return u.ID, u.Login }
func teamKey(t Team) (conversation.TeamID, string)          { return t.ID, fold(t.Name) }
func skillKey(k Skill) (string, string)                     { return k.Name, k.Name }
func serviceKey(s Service) (conversation.ServiceID, string) { return s.ID, fold(s.Name) }
func accountKey(a Account) (conversation.AccountID, string) { return a.ID, fold(a.Name) }

func fold(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

func (s *Snapshot) clone() *Snapshot {
	return &Snapshot{
		version: s.version,
		users:   s.users.clone(), teams: s.teams.clone(), skills: s.skills.clone(),
		services: s.services.clone(), accounts: s.accounts.clone(),
		hashes: cloneMap(s.hashes),
	}
}

func cloneMap[K comparable, V any](m map[K]V) map[K]V {
	out := make(map[K]V, len(m)+1)
	maps.Copy(out, m)
	return out
}

// finish orders the records and computes which users serve which services.
func (s *Snapshot) finish() {
	s.users.sort(userKey)
	s.teams.sort(teamKey)
	s.skills.sort(skillKey)
	s.services.sort(serviceKey)
	s.accounts.sort(accountKey)
	members := map[conversation.TeamID][]conversation.AgentID{}
	for _, u := range s.users.list {
		for _, t := range u.Teams {
			members[t] = append(members[t], u.ID)
		}
	}
	s.serves = map[conversation.AgentID][]conversation.ServiceID{}
	s.servedBy = map[conversation.ServiceID][]conversation.AgentID{}
	for _, svc := range s.services.list {
		ids := slices.Clone(svc.Users)
		for _, t := range svc.Teams {
			ids = append(ids, members[t]...)
		}
		for _, id := range uniqueIDs(ids) {
			if u, ok := s.users.get(id); ok && !u.Disabled && hasAll(u.Skills, svc.Skills) {
				s.serves[id] = append(s.serves[id], svc.ID)
				s.servedBy[svc.ID] = append(s.servedBy[svc.ID], id)
			}
		}
	}
}

func hasAll(have, need []string) bool {
	for _, n := range need {
		if _, ok := slices.BinarySearch(have, n); !ok {
			return false
		}
	}
	return true
}

// Version grows with every change.
func (s *Snapshot) Version() int64 { return s.version }

// User finds a user by id, disabled ones included.
func (s *Snapshot) User(id conversation.AgentID) (User, bool) { return s.users.get(id) }

// UserByLogin finds a user by login, whatever its case.
func (s *Snapshot) UserByLogin(login string) (User, bool) { return s.users.named(fold(login)) }

// Users are all users by login, disabled ones included.
func (s *Snapshot) Users() []User { return s.users.list }

// PasswordHash is a user's argon2id hash, "" when the user has no password.
func (s *Snapshot) PasswordHash(id conversation.AgentID) string { return s.hashes[id] }

// Team finds a team by id.
func (s *Snapshot) Team(id conversation.TeamID) (Team, bool) { return s.teams.get(id) }

// TeamByName finds a team, whatever the name's case.
func (s *Snapshot) TeamByName(name string) (Team, bool) { return s.teams.named(fold(name)) }

// Teams are all teams by name.
func (s *Snapshot) Teams() []Team { return s.teams.list }

// Skill finds a skill by its name.
func (s *Snapshot) Skill(name string) (Skill, bool) { return s.skills.get(name) }

// Skills are all skills by name.
func (s *Snapshot) Skills() []Skill { return s.skills.list }

// Service finds a service by id.
func (s *Snapshot) Service(id conversation.ServiceID) (Service, bool) { return s.services.get(id) }

// ServiceByName finds a service, whatever the name's case.
func (s *Snapshot) ServiceByName(name string) (Service, bool) { return s.services.named(fold(name)) }

// Services are all services by name.
func (s *Snapshot) Services() []Service { return s.services.list }

// Account finds an account by id, disabled ones included.
func (s *Snapshot) Account(id conversation.AccountID) (Account, bool) { return s.accounts.get(id) }

// AccountByName finds an account, whatever the name's case.
func (s *Snapshot) AccountByName(name string) (Account, bool) { return s.accounts.named(fold(name)) }

// Accounts are all accounts by name, disabled ones included.
func (s *Snapshot) Accounts() []Account { return s.accounts.list }

// ServicesOf are the services that a user serves: named there or in a team
// named there, with all skills needed, not disabled.
func (s *Snapshot) ServicesOf(id conversation.AgentID) []conversation.ServiceID { return s.serves[id] }

// Serving are the users who serve a service, the inverse of ServicesOf.
func (s *Snapshot) Serving(id conversation.ServiceID) []conversation.AgentID { return s.servedBy[id] }
