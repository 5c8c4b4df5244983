package webchat

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/parley-gateway/parley/plugins/sdk"
)

// anyOrigin in allowed_origins lets every page embed a site's chat.
const anyOrigin = "*"

// site is one account, ready for use. It never changes: a new configuration
// makes new ones.
type site struct {
	account sdk.AccountID
	settings
	chatOrigin string // where panel and socket live
}

// allows reports whether a browser on origin may use the site's socket.
// Programs that are no browsers send none and are let in: they prove
// themselves by the visitor's token, as everybody does.
func (s *site) allows(origin string) bool {
	return origin == "" || origin == s.chatOrigin ||
		slices.Contains(s.AllowedOrigins, origin) || slices.Contains(s.AllowedOrigins, anyOrigin)
}

func (s *site) unresponsiveAfter() time.Duration {
	return time.Duration(s.UnresponsiveAfter) * time.Second
}

// isExempt reports whether an address is not held to the limits per address.
func (s *site) isExempt(ip netip.Addr) bool {
	return slices.ContainsFunc(s.exempt, func(net netip.Prefix) bool { return net.Contains(ip) })
}

func (s *site) maxFile() int64 { return int64(s.MaxFileMB) << 20 }

// sites is one configuration of the plugin.
type sites struct {
	byName     map[string]*site // site name in lower case, and account id
	byAccount  map[sdk.AccountID]*site
	keys       keys
	chatOrigin string
}

// find looks a site up by its name, whatever the case, or its account's id.
func (s *sites) find(name string) *site {
	if s == nil {
		return nil
	}
	return s.byName[strings.ToLower(name)]
}

// allows reports whether any site allows origin: what can be said before the
// hello frame names the site.
func (s *sites) allows(origin string) bool {
	if s == nil {
		return false
	}
	if origin == "" || origin == s.chatOrigin {
		return true
	}
	for _, one := range s.byAccount {
		if one.allows(origin) {
			return true
		}
	}
	return false
}

// newSites reads a configuration; problems of all accounts come back at once.
func newSites(cfg *sdk.Config) (*sites, error) {
	var problems sdk.Problems
	var chat string
	base, err := url.Parse(cfg.BaseURL)
	if err == nil {
		chat, err = originOf(base.Scheme + "://" + base.Host)
	}
	if err != nil {
		problems = append(problems, sdk.Problem{Code: "invalid", Text: "the plugin's public URL is not an http or https URL"})
	}
	if cfg.VisitorKey.IsZero() {
		problems = append(problems, sdk.Problem{Code: "required", Text: "the gateway gave no visitor key"})
	}
	s := &sites{
		byName:     map[string]*site{},
		byAccount:  map[sdk.AccountID]*site{},
		keys:       newKeys(cfg.VisitorKey),
		chatOrigin: chat,
	}
	for i := range cfg.Accounts {
		a := &cfg.Accounts[i]
		if !a.Enabled {
			continue
		}
		set, faults := readSettings(a)
		problems = append(problems, faults...)
		name := strings.ToLower(set.Site)
		if s.byName[name] != nil {
			problems = append(problems, sdk.Problem{Account: a.ID, Path: "/site", Code: "duplicate", Text: "another account has this site name"})
			continue
		}
		one := &site{account: a.ID, settings: set, chatOrigin: chat}
		s.byName[name] = one
		s.byName[strings.ToLower(string(a.ID))] = one
		s.byAccount[a.ID] = one
	}
	return s, problems.Err()
}
