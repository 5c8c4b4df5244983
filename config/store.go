package config

import (
	"log/slog"
	"net/url"
	"strconv"
	"strings"
)

// Store says where log and records are: "sqlite", or a connection string of
// PostgreSQL, whose password never prints.
type Store string

// SQLite is the store in the data folder.
const SQLite Store = "sqlite"

// IsPostgres reports whether the store is a connection string of PostgreSQL.
func (s Store) IsPostgres() bool {
	return strings.HasPrefix(string(s), "postgres://") || strings.HasPrefix(string(s), "postgresql://")
}

// String returns the connection string with a mask in place of the password (fmt.Stringer). A
// string that cannot be parsed is masked as a whole.
func (s Store) String() string {
	if s == SQLite || s == "" {
		return string(s)
	}
	u, err := url.Parse(string(s))
	if err != nil || !s.IsPostgres() {
		return "********"
	}
	q := u.Query()
	for name := range q {
		if strings.Contains(strings.ToLower(name), "pass") {
			q.Set(name, "********")
			u.RawQuery = q.Encode()
		}
	}
	user := ""
	if u.User != nil {
		user = url.PathEscape(u.User.Username())
		if _, set := u.User.Password(); set {
			user += ":********"
		}
		user += "@"
	}
	u.User = nil
	return strings.Replace(u.String(), "://", "://"+user, 1)
}

// GoString prints a mask with %#v too.
func (s Store) GoString() string { return strconv.Quote(s.String()) }

// LogValue prints a mask in logs (slog.LogValuer).
func (s Store) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText prints a mask in JSON and YAML.
func (s Store) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// DSN is the connection string of a PostgreSQL store with its password, for the code that connects,
// and no other; "" for SQLite.
func (c *Config) DSN() string {
	if !c.Store.IsPostgres() {
		return ""
	}
	if !c.StorePassword.IsSet() {
		return string(c.Store)
	}
	u, err := url.Parse(string(c.Store))
	if err != nil {
		return string(c.Store) // Validate reports this
	}
	u.User = url.UserPassword(u.User.Username(), c.StorePassword.Reveal())
	return u.String()
}

// storeFault says what is wrong with the store, without its password.
func (c *Config) storeFault() (path, text string) {
	if c.Store == SQLite {
		if c.StorePassword.IsSet() {
			return "store_password", "is for PostgreSQL; remove it, or set store to postgres://user@host/database"
		}
		return "", ""
	}
	const want = "want sqlite, or postgres://user@host:port/database"
	if !c.Store.IsPostgres() {
		return "store", want
	}
	u, err := url.Parse(string(c.Store))
	if err != nil {
		return "store", want + "; percent-encode special characters, or put the password into store_password_file"
	}
	_, inline := u.User.Password()
	switch {
	case strings.Trim(u.Path, "/") == "" || strings.Contains(strings.Trim(u.Path, "/"), "/"):
		return "store", "names no database; " + want
	case u.Host == "" && u.Query().Get("host") == "":
		return "store", "names no host; " + want + ", or ?host=/folder/of/its/socket"
	case u.User.Username() == "" && u.Query().Get("user") == "":
		return "store", "names no user; " + want
	case inline && c.StorePassword.IsSet():
		return "store_password", "comes inline and apart; keep one of them"
	}
	return "", ""
}
