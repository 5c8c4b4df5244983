package kit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/parley-gateway/parley/plugins/contract/identity"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

func needsPrivateRoute(s *subject) string {
	for _, r := range s.desc.GetRoutes() {
		if r.GetAccess() == pluginv1.Access_ACCESS_AGENT || r.GetAccess() == pluginv1.Access_ACCESS_GRANT {
			return ""
		}
	}
	return "declares no routes for agents or grants"
}

func httpChecks() []check {
	return []check{
		{
			group: "http", name: "serves", run: checkHTTPServes, needs: needsRoutes,
			rule: "http.sock listens within 5 s of Configure, and no route answers with a 5xx",
		},
		{
			group: "http", name: "identity-missing", run: checkHTTPMissing, needs: needsPrivateRoute,
			rule: "routes for agents and grants refuse a request without Parley-Identity",
		},
		{
			group: "http", name: "identity-forged", run: checkHTTPForged, needs: needsRoutes,
			rule: "a Parley-Identity with a wrong key, for another path or method, or too old is refused",
		},
		{
			group: "http", name: "identity-good", run: checkHTTPGood, needs: needsPrivateRoute,
			rule: "a good Parley-Identity opens a route for agents",
		},
	}
}

// awaitHTTP waits until http.sock accepts connections.
func (p *process) awaitHTTP(ctx context.Context) error {
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", p.httpSocket())
		if err == nil {
			return conn.Close()
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("http.sock does not listen: %w", err)
		}
	}
}

// get sends a GET for path over http.sock, once that accepts connections.
func (p *process) get(ctx context.Context, path, header string) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := p.awaitHTTP(ctx); err != nil {
		return 0, err
	}
	client := &http.Client{
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", p.httpSocket())
			},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://plugin"+path, nil)
	if err != nil {
		return 0, fmt.Errorf("request: %w", err)
	}
	if header != "" {
		req.Header.Set(identity.Header, header)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, fmt.Errorf("GET %s: %w", path, err)
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	return resp.StatusCode, errors.Join(err, resp.Body.Close())
}

func (s *subject) sign(key []byte, method, path string, at time.Time) (string, error) {
	return identity.Sign(key, identity.Identity{Subject: "kit-agent", Role: "agent", Name: "Kit"}, method, path, at)
}

func private(r *pluginv1.Route) bool {
	return r.GetAccess() == pluginv1.Access_ACCESS_AGENT || r.GetAccess() == pluginv1.Access_ACCESS_GRANT
}

func checkHTTPServes(ctx context.Context, s *subject) error {
	p, err := s.configured(ctx)
	if err != nil {
		return err
	}
	for _, r := range s.desc.GetRoutes() {
		header, err := s.sign(s.opts.Fixtures.config().GetIdentityKey(), http.MethodGet, "/"+r.GetPath(), time.Now())
		if err != nil {
			return err
		}
		code, err := p.get(ctx, "/"+r.GetPath(), header)
		if err != nil {
			return err
		}
		if code >= 500 {
			return fmt.Errorf("GET /%s: status %d", r.GetPath(), code)
		}
	}
	return nil
}

func refusedCode(code int) bool {
	return code == http.StatusUnauthorized || code == http.StatusForbidden
}

func checkHTTPMissing(ctx context.Context, s *subject) error {
	p, err := s.configured(ctx)
	if err != nil {
		return err
	}
	for _, r := range s.desc.GetRoutes() {
		if !private(r) {
			continue
		}
		code, err := p.get(ctx, "/"+r.GetPath(), "")
		if err != nil {
			return err
		}
		if !refusedCode(code) {
			return fmt.Errorf("GET /%s without identity: status %d, want 401 or 403", r.GetPath(), code)
		}
	}
	return nil
}

func checkHTTPForged(ctx context.Context, s *subject) error {
	p, err := s.configured(ctx)
	if err != nil {
		return err
	}
	key, now := s.opts.Fixtures.config().GetIdentityKey(), time.Now()
	for _, r := range s.desc.GetRoutes() {
		path := "/" + r.GetPath()
		for _, forged := range []struct {
			what, method, path string
			key                []byte
			at                 time.Time
		}{
			{"signed with another key", http.MethodGet, path, []byte("another key"), now},
			{"made for another path", http.MethodGet, path + "/elsewhere", key, now},
			{"made for another method", http.MethodDelete, path, key, now},
			{"two minutes old", http.MethodGet, path, key, now.Add(-2 * time.Minute)},
			{"from the future", http.MethodGet, path, key, now.Add(2 * time.Minute)},
		} {
			header, err := s.sign(forged.key, forged.method, forged.path, forged.at)
			if err != nil {
				return err
			}
			code, err := p.get(ctx, path, header)
			if err != nil {
				return err
			}
			if !refusedCode(code) {
				return fmt.Errorf("GET %s with an identity %s: status %d, want 401 or 403", path, forged.what, code)
			}
		}
		if code, err := p.get(ctx, path, "garbage"); err != nil || !refusedCode(code) {
			return fmt.Errorf("GET %s with a garbled identity: status %d (%w), want 401 or 403", path, code, err)
		}
	}
	return nil
}

func checkHTTPGood(ctx context.Context, s *subject) error {
	p, err := s.configured(ctx)
	if err != nil {
		return err
	}
	for _, r := range s.desc.GetRoutes() {
		if r.GetAccess() != pluginv1.Access_ACCESS_AGENT {
			continue
		}
		path := "/" + r.GetPath()
		header, err := s.sign(s.opts.Fixtures.config().GetIdentityKey(), http.MethodGet, path, time.Now())
		if err != nil {
			return err
		}
		code, err := p.get(ctx, path, header)
		if err != nil {
			return err
		}
		if refusedCode(code) {
			return fmt.Errorf("GET %s with a good identity: status %d", path, code)
		}
	}
	return nil
}
