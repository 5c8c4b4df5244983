package config

import (
	"os"
	"path/filepath"
	"time"
)

// Config is everything that can be configured for `parley serve`.
type Config struct {
	Node          string  `yaml:"node" jsonschema_description:"Name of this node, unique in the installation. Default: the host's name."`
	Data          string  `yaml:"data" jsonschema_description:"Folder of the embedded database, the keys, attachments and plugin state. Made when missing, mode 0700."`
	Store         Store   `yaml:"store" jsonschema_description:"Where log and records are kept: sqlite, a file in the data folder, or PostgreSQL as postgres://user@host:port/database?sslmode=verify-full."`
	StorePassword Secret  `yaml:"store_password" jsonschema_description:"Password of the PostgreSQL user, when it is not in store."`
	Listen        Listen  `yaml:"listen"`
	TLS           TLS     `yaml:"tls"`
	Origins       Origins `yaml:"origins"`
	Vault         Vault   `yaml:"vault"`
	Plugins       Plugins `yaml:"plugins"`
	HTTP          HTTP    `yaml:"http"`
	Login         Login   `yaml:"login"`
	Uploads       Uploads `yaml:"uploads"`
	Log           Log     `yaml:"log"`
	Drain         Seconds `yaml:"drain" jsonschema_description:"How long a stop may take, in seconds or as 8s. Plugins get most of it."`

	origins map[string]string // key -> where its value came from
}

// Listen names the addresses, host:port; port 0 lets the kernel choose.
type Listen struct {
	Public string `yaml:"public" jsonschema_description:"API, desktop, widgets, plugin pages and webhooks."`
	Ops    string `yaml:"ops" jsonschema_description:"Metrics, health and profiling. Loopback unless you know why not."`
	// OpsHosts are the host names that requests to the operators' listener may use, besides IP
	// addresses and localhost.
	OpsHosts []string `yaml:"ops_hosts" jsonschema_description:"Host names under which listen.ops may be asked, besides IP addresses and localhost: what Prometheus is told to scrape."`
}

// TLS names PEM files for the public listener; both or neither.
type TLS struct {
	Cert string `yaml:"cert" jsonschema_description:"PEM file with the certificate chain. Read again when it changes."`
	Key  string `yaml:"key" jsonschema_description:"PEM file with the private key."`
}

// Origins are the public origins, scheme://host[:port] without a path. The
// three must differ (promises.md 3: console, widget and uploads on three origins).
type Origins struct {
	Desk    string   `yaml:"desk" jsonschema_description:"Origin of the agent desktop and the API."`
	Chat    string   `yaml:"chat" jsonschema_description:"Origin of widgets and plugin pages."`
	Files   string   `yaml:"files" jsonschema_description:"Origin of attachments."`
	Hooks   string   `yaml:"hooks" jsonschema_description:"Origin that carriers deliver webhooks to, and sign. Default: that of chat."`
	Plugins string   `yaml:"plugins" jsonschema_description:"Origin beneath which each third-party plugin has its own for its pages: https://plugins.example.com means https://<id>.plugins.example.com. Needs names and a certificate for *.plugins.example.com. Default: none, they are put into a sandbox on that of chat."`
	Aliases []string `yaml:"aliases" jsonschema_description:"Further hosts (host or host:port) that are answered like all three; for a demo on one machine."`
}

// Vault says where the keys are and where the master key comes from.
type Vault struct {
	Store             Store  `yaml:"store" jsonschema_description:"Where the data keys are kept. Default: a file in the data folder, for one node. For several: a PostgreSQL database of its own, apart from that of the log and its backups, as postgres://user@host:port/database?sslmode=verify-full."`
	StorePassword     Secret `yaml:"store_password" jsonschema_description:"Password of that PostgreSQL user, when it is not in vault.store."`
	MasterKey         Secret `yaml:"master_key" jsonschema_description:"32 bytes in base64 that wrap every data key; the same on every node. Without it, data/keys/master.key is used, which the first start makes unless vault.store is a database."`
	MasterKeyPrevious Secret `yaml:"master_key_previous" jsonschema_description:"The master key before, only while the installation changes to another: until parley keys rotate is done."`
}

// Plugins says which plugins run.
type Plugins struct {
	Builtin []string `yaml:"builtin" jsonschema_description:"Built-in plugins that run. Default: all."`
	Dir     string   `yaml:"dir" jsonschema_description:"Folder with one folder per third-party plugin. Default: data/plugins."`
	Run     string   `yaml:"run" jsonschema_description:"Short folder for sockets. Default: data/run."`
	Drain   Seconds  `yaml:"drain" jsonschema_description:"How long a plugin that asks for it may finish what it holds, such as calls, when its process is replaced; at most an hour. A stop of Parley takes no longer for it. Default: 30m."`
}

// HTTP bounds the public listener.
type HTTP struct {
	TrustedProxies []string `yaml:"trusted_proxies" jsonschema_description:"Networks (CIDR) whose X-Forwarded-For is believed."`
	MaxConns       int      `yaml:"max_conns" jsonschema_description:"Connections in all; 0 = from the file descriptor limit."`
	MaxConnsPerIP  int      `yaml:"max_conns_per_ip" jsonschema_description:"Connections of one client address; 0 = no limit."`
}

// Login limits attempts to log in.
type Login struct {
	PerAccountBurst int     `yaml:"per_account_burst" jsonschema_description:"Failed attempts at one login from one address, or on one known device, before a growing wait."`
	PerIPBurst      int     `yaml:"per_ip_burst" jsonschema_description:"Failed attempts from one address before all wait there who never got in from it."`
	IdleTimeout     Seconds `yaml:"idle_timeout" jsonschema_description:"A session ends when unused for so long."`
	AbsoluteTimeout Seconds `yaml:"absolute_timeout" jsonschema_description:"A session ends after so long in any case."`
}

// Uploads limits what agents may upload; what a chat's customers may upload is limited by the
// chat's settings.
type Uploads struct {
	AgentFilesPerHour int `yaml:"agent_files_per_hour" jsonschema_description:"Files that one agent may upload within an hour, on each node; 0 = no limit."`
	AgentMBPerHour    int `yaml:"agent_mb_per_hour" jsonschema_description:"What one agent may upload within an hour, in MB (1,000,000 bytes), on each node; 0 = no limit."`
}

// Log says how the gateway logs.
type Log struct {
	Level  string `yaml:"level" jsonschema_description:"debug, info, warn or error."`
	Format string `yaml:"format" jsonschema_description:"json or text."`
}

// Default is the configuration without a file and without environment variables.
func Default() Config {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "parley"
	}
	return Config{
		Node: host, Data: "data", Store: SQLite,
		Listen:  Listen{Public: ":8080", Ops: "127.0.0.1:9090"},
		Origins: Origins{Desk: "http://desk.localhost:8080", Chat: "http://chat.localhost:8080", Files: "http://files.localhost:8080"},
		Plugins: Plugins{Builtin: []string{"webchat", "sms"}, Drain: Seconds(30 * time.Minute)},
		Login: Login{
			PerAccountBurst: 5, PerIPBurst: 20,
			IdleTimeout: Seconds(12 * time.Hour), AbsoluteTimeout: Seconds(7 * 24 * time.Hour),
		},
		HTTP:    HTTP{MaxConnsPerIP: 1024},
		Uploads: Uploads{AgentFilesPerHour: 1000, AgentMBPerHour: 5000},
		Log:     Log{Level: "info", Format: "json"},
		Drain:   Seconds(8 * time.Second),
		origins: map[string]string{},
	}
}

// Paths below the data folder.

// Database is the embedded database's file.
func (c *Config) Database() string { return filepath.Join(c.Data, "parley.db") }

// Keys is the file of the key store, which is separate from the data that the keys protect.
func (c *Config) Keys() string { return filepath.Join(c.Data, "keys", "keys.db") }

// MasterKeyFile is the file in which a master key is made when none is configured.
func (c *Config) MasterKeyFile() string { return filepath.Join(c.Data, "keys", "master.key") }

// Blobs is the folder of attachments.
func (c *Config) Blobs() string { return filepath.Join(c.Data, "blobs") }

// PluginDir is the folder of third-party plugins.
func (c *Config) PluginDir() string {
	if c.Plugins.Dir != "" {
		return c.Plugins.Dir
	}
	return filepath.Join(c.Data, "plugins")
}

// RunDir is the folder of sockets.
func (c *Config) RunDir() string {
	if c.Plugins.Run != "" {
		return c.Plugins.Run
	}
	return filepath.Join(c.Data, "run")
}
