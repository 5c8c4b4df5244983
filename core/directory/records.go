package directory

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"github.com/parley-gateway/parley/core/conversation"
)

// Records is a set of records that refer to each other by name, as in records.yaml. Applying it
// makes the named records as it says; other records stay. Fields that a named record leaves out
// take their defaults, except passwords and secrets, which stay as they are.
type Records struct {
	Skills   []SkillRecord   `yaml:"skills,omitempty"`
	Teams    []TeamRecord    `yaml:"teams,omitempty"`
	Users    []UserRecord    `yaml:"users,omitempty"`
	Services []ServiceRecord `yaml:"services,omitempty"`
	Accounts []AccountRecord `yaml:"accounts,omitempty"`
	Contacts []ContactRecord `yaml:"contacts,omitempty"`

	source *source // where the records were read; nil when they were made in Go
}

// SkillRecord is a Skill.
type SkillRecord struct {
	Name  string `yaml:"name"`
	Title string `yaml:"title,omitempty"`
}

// TeamRecord is a Team.
type TeamRecord struct {
	Name string `yaml:"name"`
}

// UserRecord is a User, found by login.
type UserRecord struct {
	Login      string         `yaml:"login"`
	Name       string         `yaml:"name"`
	FirstName  string         `yaml:"first_name,omitempty"`
	LastName   string         `yaml:"last_name,omitempty"`
	Email      string         `yaml:"email,omitempty"`
	Role       Role           `yaml:"role,omitempty"` // "" means agent
	Privileges []string       `yaml:"privileges,omitempty"`
	Teams      []string       `yaml:"teams,omitempty"`
	Skills     []string       `yaml:"skills,omitempty"`
	Capacity   CapacityRecord `yaml:"capacity,omitempty"`
	Disabled   bool           `yaml:"disabled,omitempty"`
	Password   Secret         `yaml:"password,omitempty"` // zero: unchanged
}

// CapacityRecord is a Capacity.
type CapacityRecord struct {
	Percent int            `yaml:"percent,omitempty"`
	Max     map[string]int `yaml:"max,omitempty"`
}

// ServiceRecord is a Service, found by name.
type ServiceRecord struct {
	Name   string      `yaml:"name"`
	Skills []string    `yaml:"skills,omitempty"`
	Teams  []string    `yaml:"teams,omitempty"`
	Users  []string    `yaml:"users,omitempty"` // logins
	Rules  RulesRecord `yaml:"rules,omitempty"` // for every medium
	// Media are rules by medium, over Rules.
	Media        map[conversation.Medium]RulesRecord `yaml:"media,omitempty"`
	Dispositions []Disposition                       `yaml:"dispositions,omitempty"`
	Features     *[]string                           `yaml:"features,omitempty"` // features; nil: DefaultFeatures
	Texts        Texts                               `yaml:"texts,omitempty"`

	Tools []ToolRecord `yaml:"tools,omitempty"`
	Bot   string       `yaml:"bot,omitempty"` // name of an account
}

// RulesRecord is conversation.Rules. Nil fields take their defaults (MakeRules); when inactivity_end is not after
// the default inactivity_warn, a nil inactivity_warn becomes half of inactivity_end. A duration of
// 0s switches its rule off. A wrapup_limit of "unlimited" grants after-call work without a limit.
type RulesRecord struct {
	OfferTimeout      *Duration `yaml:"offer_timeout,omitempty"`
	InactivityWarn    *Duration `yaml:"inactivity_warn,omitempty"`
	InactivityEnd     *Duration `yaml:"inactivity_end,omitempty"`
	UnansweredEnd     *Duration `yaml:"unanswered_end,omitempty"`
	WrapupLimit       *Duration `yaml:"wrapup_limit,omitempty"`
	RequeueAfter      *Duration `yaml:"requeue_after,omitempty"`
	ParkAfter         *Duration `yaml:"park_after,omitempty"`
	OwnerFirst        *Duration `yaml:"owner_first,omitempty"`
	ParkedEnd         *Duration `yaml:"parked_end,omitempty"`
	BotSilence        *Duration `yaml:"bot_silence,omitempty"`
	DispositionNeeded *bool     `yaml:"disposition_needed,omitempty"`
	Medium            string    `yaml:"medium,omitempty"`
	Share             *int      `yaml:"share,omitempty"`
	Spare             *int      `yaml:"spare,omitempty"`
	Priority          *int      `yaml:"priority,omitempty"` // seconds
}

// AccountRecord is an Account, found by name.
type AccountRecord struct {
	Name     string         `yaml:"name"`
	Plugin   string         `yaml:"plugin"`
	Service  string         `yaml:"service,omitempty"` // name
	User     string         `yaml:"user,omitempty"`    // login
	Settings map[string]any `yaml:"settings,omitempty"`
	// Secrets by name. When a name ends in _file, the value is the path of a file that holds the
	// secret of the name before _file. Nil leaves all secrets unchanged.
	Secrets map[string]Secret `yaml:"secrets,omitempty"`
	Inbound InboundMode       `yaml:"inbound,omitempty"` // "" means new
	Files   FileLimits        `yaml:"files,omitempty"`
	Enabled *bool             `yaml:"enabled,omitempty"` // nil: true
}

// ContactRecord is a Contact. It is found by its addresses, of which it must have at least one.
type ContactRecord struct {
	Name       string            `yaml:"name,omitempty"`
	FirstName  string            `yaml:"first_name,omitempty"`
	LastName   string            `yaml:"last_name,omitempty"`
	Company    string            `yaml:"company,omitempty"`
	Addresses  []string          `yaml:"addresses"`
	Notes      string            `yaml:"notes,omitempty"`
	Attributes map[string]string `yaml:"attributes,omitempty"`
}

// Duration is a length of time written like 30s, 2m or 1h30m.
type Duration conversation.Millis

// UnmarshalYAML reads the written form.
func (d *Duration) UnmarshalYAML(n ast.Node) error {
	if p := n.GetPath(); scalar(n) == "unlimited" && strings.HasSuffix(p, ".wrapup_limit") {
		*d = -1
		return nil
	}
	ms, err := parseDuration(scalar(n))
	if err != nil {
		return &yaml.SyntaxError{Message: err.Error(), Token: n.GetToken()}
	}
	*d = Duration(ms)
	return nil
}

// Secret is a secret, or the place where it is to be found. It prints as a mask. In YAML: a string,
// {file: PATH} or {env: NAME}.
type Secret struct {
	value string
	file  string
	env   string
}

// NewSecret makes a Secret from its value.
func NewSecret(value string) Secret { return Secret{value: value} }

// String is a mask, also for logs.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return "****"
}

// GoString is a mask for %#v.
func (s Secret) GoString() string { return s.String() }

// MarshalText is a mask for encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// IsZero reports whether nothing was given.
func (s Secret) IsZero() bool { return s == Secret{} }

// UnmarshalYAML reads one of the forms.
func (s *Secret) UnmarshalYAML(n ast.Node) error {
	m, ok := n.(*ast.MappingNode)
	if !ok {
		if v, one := n.(*ast.MappingValueNode); one {
			m, ok = ast.Mapping(n.GetToken(), false, v), true
		}
	}
	if !ok {
		if s.value = scalar(n); s.value == "" {
			return &yaml.SyntaxError{Message: "a secret must be a text, {file: PATH} or {env: NAME}", Token: n.GetToken()}
		}
		return nil
	}
	if len(m.Values) == 1 {
		switch v := scalar(m.Values[0].Value); m.Values[0].Key.String() {
		case "file":
			s.file = v
		case "env":
			s.env = v
		}
	}
	if s.file == "" && s.env == "" {
		return &yaml.SyntaxError{Message: "a secret must be a text, {file: PATH} or {env: NAME}", Token: n.GetToken()}
	}
	return nil
}

// resolve returns the secret that is found at the Secret's place. Relative paths start at dir.
func (s Secret) resolve(dir string, lookup func(string) (string, bool)) (Secret, error) {
	switch {
	case s.file != "":
		path := s.file
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return s, fmt.Errorf("cannot read the secret: %w", err)
		}
		s = Secret{value: strings.TrimRight(string(b), "\r\n")}
	case s.env != "":
		v, ok := lookup(s.env)
		if !ok {
			return s, fmt.Errorf("environment variable %s is not set", s.env)
		}
		s = Secret{value: v}
	default:
		return s, nil
	}
	if s.value == "" {
		return s, fmt.Errorf("the secret is empty")
	}
	return s, nil
}

// scalar is the text of a plain value, "" for anything else.
func scalar(n ast.Node) string {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value
	case *ast.LiteralNode:
		return v.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		return n.GetToken().Value
	default:
		return ""
	}
}
