package config

import (
	"cmp"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
)

// Store says where log and records are, or the keys: "sqlite" ("" for the keys), or a connection
// string of PostgreSQL, whose password never prints.
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
func (c *Config) DSN() string { return dsn(c.Store, c.StorePassword) }

// KeysDSN is the connection string of the key database with its password, for the code that
// connects, and no other; "" for the file in the data folder.
func (c *Config) KeysDSN() string { return dsn(c.Vault.Store, c.Vault.StorePassword) }

func dsn(s Store, password Secret) string {
	if !s.IsPostgres() {
		return ""
	}
	if !password.IsSet() {
		return string(s)
	}
	u, err := url.Parse(string(s))
	if err != nil {
		return string(s) // Validate reports this
	}
	u.User = url.UserPassword(u.User.Username(), password.Reveal())
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
	return serverFault(c.Store, c.StorePassword, "sqlite, or ")
}

// keysFault says what is wrong with the key store, without its password.
func (c *Config) keysFault() (path, text string) {
	if c.Vault.Store == "" {
		if c.Vault.StorePassword.IsSet() {
			return "vault.store_password", "is for a key database; remove it, or set vault.store to postgres://user@host/database"
		}
		return "", ""
	}
	path, text = serverFault(c.Vault.Store, c.Vault.StorePassword, "nothing, or ")
	switch {
	case path != "":
		return "vault." + path, strings.ReplaceAll(text, "store_password_file", "vault.store_password_file")
	case c.Store.IsPostgres() && c.Store.place() == c.Vault.Store.place():
		return "vault.store", "is the database of the log; keys need one of their own, since its backups must not hold both"
	}
	return "", ""
}

// place names server and database, as far as the connection string does.
func (s Store) place() string {
	u, err := url.Parse(string(s))
	if err != nil {
		return ""
	}
	q, port := u.Query(), u.Port()
	host := cmp.Or(u.Hostname(), q.Get("host"))
	port = cmp.Or(port, q.Get("port"), "5432")
	return strings.ToLower(host) + ":" + port + "/" + cmp.Or(strings.Trim(u.Path, "/"), q.Get("dbname"))
}

// serverFault says what is wrong with a connection string; path is "store" or "store_password".
func serverFault(s Store, password Secret, or string) (path, text string) {
	want := "want " + or + "postgres://user@host:port/database"
	if !s.IsPostgres() {
		return "store", want
	}
	u, err := url.Parse(string(s))
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
	case inline && password.IsSet():
		return "store_password", "comes inline and apart; keep one of them"
	}
	return "", ""
}
