package directory

import (
	"fmt"
	"net/mail"
	"slices"
	"strings"

	"github.com/parley-gateway/parley/core/conversation"
)

// Role is how far a user's rights go; each role includes the roles before it.
type Role string

// Roles.
const (
	RoleAgent      Role = "agent"
	RoleSupervisor Role = "supervisor"
	RoleAdmin      Role = "admin"
)

// Includes reports whether r may do what requires the role other. An unknown role includes nothing.
func (r Role) Includes(other Role) bool {
	return r.rank() >= other.rank() && r.rank() > 0 && other.rank() > 0
}

func (r Role) rank() int {
	switch r {
	case RoleAgent:
		return 1
	case RoleSupervisor:
		return 2
	case RoleAdmin:
		return 3
	default:
		return 0
	}
}

// Privileges known to the core. Plugins may name further ones.
const (
	PrivilegeMask = "mask" // SPEC L1
	PrivilegeBan  = "ban"  // SPEC S1
	PrivilegeSMS  = "sms"  // SPEC N1
)

// User is somebody who logs in. Users are disabled, never deleted: the log
// refers to them.
type User struct {
	ID         conversation.AgentID  `json:"id"`
	Login      string                `json:"login"` // lower case; letters, digits, . _ - @
	Name       string                `json:"name"`  // display name
	FirstName  string                `json:"first_name,omitempty"`
	LastName   string                `json:"last_name,omitempty"`
	Email      string                `json:"email,omitempty"`
	Role       Role                  `json:"role"`
	Privileges []string              `json:"privileges,omitempty"` // sorted
	Teams      []conversation.TeamID `json:"teams,omitempty"`
	Skills     []string              `json:"skills,omitempty"` // names, sorted
	Capacity   Capacity              `json:"capacity,omitzero"`
	Photo      conversation.BlobID   `json:"photo,omitzero"` // zero: none
	Disabled   bool                  `json:"disabled,omitempty"`
}

// Has reports whether the user was given a privilege by name.
func (u User) Has(privilege string) bool { return slices.Contains(u.Privileges, privilege) }

// Capacity says how much an agent can handle at once (SPEC A18).
type Capacity struct {
	// Percent is the agent's whole capacity, of which each conversation takes the share that its
	// service's rules say. 0 means 100; with a higher value the agent takes more than others.
	Percent int `json:"percent,omitempty"`
	// Max bounds the number of conversations per medium ("chat", "voice" ...: the rules' Medium),
	// counting after-call work and the offer that is being presented. A medium that is not listed
	// is bounded by Percent only; 0 means that none of the medium is offered. Invitations by
	// colleagues are not bounded (T6).
	Max map[string]int `json:"max,omitempty"`
}

// Team is a group of users.
type Team struct {
	ID   conversation.TeamID `json:"id"`
	Name string              `json:"name"`
}

// Skill is something that agents can do and services require. Its name is its key.
type Skill struct {
	Name  string `json:"name"` // lower case; letters, digits, . _ -
	Title string `json:"title,omitempty"`
}

func (u *User) normalise() {
	u.Login = strings.ToLower(strings.TrimSpace(u.Login))
	u.Name = strings.TrimSpace(u.Name)
	u.Email = strings.TrimSpace(u.Email)
	u.Privileges = sortedSet(u.Privileges)
	u.Skills = sortedSet(u.Skills)
	u.Teams = uniqueIDs(u.Teams)
	if len(u.Capacity.Max) == 0 {
		u.Capacity.Max = nil
	}
}

func (u *User) validate(s *Snapshot) error {
	var f faults
	f.check(loginPattern.MatchString(u.Login), "login", "must be 1 to 64 of a-z 0-9 . _ - @, starting with a letter or digit")
	f.label("name", u.Name, true)
	f.label("first_name", u.FirstName, false)
	f.label("last_name", u.LastName, false)
	if u.Email != "" {
		a, err := mail.ParseAddress(u.Email)
		f.check(err == nil && a.Address == u.Email && len(u.Email) <= 254, "email", "must be a plain mail address")
	}
	f.check(u.Role.rank() > 0, "role", "must be agent, supervisor or admin")
	for i, p := range u.Privileges {
		f.check(keyPattern.MatchString(p), fmt.Sprintf("privileges[%d]", i), "must be 1 to 64 of a-z 0-9 . _ -, starting with a letter")
	}
	for i, t := range u.Teams {
		_, ok := s.Team(t)
		f.check(ok, fmt.Sprintf("teams[%d]", i), "no such team")
	}
	for i, k := range u.Skills {
		_, ok := s.Skill(k)
		f.check(ok, fmt.Sprintf("skills[%d]", i), "no such skill")
	}
	f.check(u.Capacity.Percent >= 0 && u.Capacity.Percent <= 1000, "capacity.percent", "must be 0 to 1000")
	for m, n := range u.Capacity.Max {
		f.check(keyPattern.MatchString(m), "capacity.max", "a medium must be of a-z 0-9 . _ -")
		f.check(n >= 0 && n <= 1000, "capacity.max."+m, "must be 0 to 1000")
	}
	return f.err()
}

func (t *Team) normalise() { t.Name = strings.TrimSpace(t.Name) }

func (t *Team) validate(*Snapshot) error {
	var f faults
	f.label("name", t.Name, true)
	return f.err()
}

func (k *Skill) normalise() {
	k.Name = strings.ToLower(strings.TrimSpace(k.Name))
	k.Title = strings.TrimSpace(k.Title)
}

func (k *Skill) validate(*Snapshot) error {
	var f faults
	f.check(keyPattern.MatchString(k.Name), "name", "must be 1 to 64 of a-z 0-9 . _ -, starting with a letter")
	f.label("title", k.Title, false)
	return f.err()
}
