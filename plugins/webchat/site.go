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

// site is one account with its settings. It never changes: a new configuration makes new sites.
type site struct {
	account sdk.AccountID
	settings
	chatOrigin string // the origin of panel and socket
}

// allows reports whether a page on origin may use the site's socket. Programs other than browsers
// send no origin and are allowed: like everybody else, they identify themselves by the visitor's
// token.
func (s *site) allows(origin string) bool {
	return origin == "" || origin == s.chatOrigin ||
		slices.Contains(s.AllowedOrigins, origin) || slices.Contains(s.AllowedOrigins, anyOrigin)
}

func (s *site) unresponsiveAfter() time.Duration {
	return time.Duration(s.UnresponsiveAfter) * time.Second
}

// isExempt reports whether the limits per address do not apply to an address.
func (s *site) isExempt(ip netip.Addr) bool {
	return slices.ContainsFunc(s.exempt, func(net netip.Prefix) bool { return net.Contains(ip) })
}

func (s *site) maxFile() int64 { return int64(s.MaxFileMB) << 20 }

// sites are the sites of one configuration.
type sites struct {
	byName     map[string]*site // by site name in lower case, and by account id
	byAccount  map[sdk.AccountID]*site
	keys       keys
	chatOrigin string
}

// find returns the site with a name, in upper or lower case, or with an account id.
func (s *sites) find(name string) *site {
	if s == nil {
		return nil
	}
	return s.byName[strings.ToLower(name)]
}

// allows reports whether any site allows origin: more cannot be checked before the hello frame
// names the site.
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

// newSites makes the sites of a configuration, or returns the problems of all accounts at once.
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
