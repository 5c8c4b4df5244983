package misbehave

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/parley-gateway/parley/plugins/contract"
	"github.com/parley-gateway/parley/plugins/contract/identity"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

const accountSchema = `{"type":"object","required":["number"],"properties":{"number":{"type":"string"}}}`

// Describe implements PluginService.
func (p *plugin) Describe(context.Context, *pluginv1.DescribeRequest) (*pluginv1.DescribeResponse, error) {
	d := &pluginv1.DescribeResponse{
		Id: "misbehave", Name: "Misbehave", Version: "1", Minor: contract.Minor, AccountSchema: accountSchema,
		Delivery:     pluginv1.Delivery_DELIVERY_STORE_AND_FORWARD,
		Capabilities: &pluginv1.Capabilities{Text: true, Reaction: true, Edit: true, Revoke: true},
		Hook:         &pluginv1.HookInfo{}, CanLookup: true,
		Routes: []*pluginv1.Route{
			{Path: "open", Access: pluginv1.Access_ACCESS_PUBLIC}, {Path: "agent", Access: pluginv1.Access_ACCESS_AGENT},
		},
		Abilities: []string{contract.AbilityProcess, contract.AbilityMetrics},
	}
	p.describeNewer(d)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.fault {
	case "no-version":
		d.Version = ""
	case "unstable-descriptor":
		d.Name = fmt.Sprintf("Misbehave %d", p.configured)
	case "broken-schema":
		d.AccountSchema = `{"type":"nothing"}`
	case "impossible-schema":
		d.AccountSchema = `{"type":"array"}`
	case "slash-in-route":
		d.Routes[0].Path = "/open"
	}
	return d, nil
}

// Configure implements PluginService.
func (p *plugin) Configure(_ context.Context, r *pluginv1.ConfigureRequest) (*pluginv1.ConfigureResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	resp := &pluginv1.ConfigureResponse{}
	accounts, onStandby := map[string]bool{}, false
	for _, a := range r.GetAccounts() {
		var settings map[string]string
		err := json.Unmarshal([]byte(a.GetSettings()), &settings)
		switch {
		case err != nil && p.fault != "accepts-malformed":
			resp.Problems = append(resp.Problems, &pluginv1.ConfigProblem{Account: a.GetId(), Code: "invalid", Text: "want an object"})
		case err == nil && settings["number"] == "" && p.fault != "accepts-invalid":
			resp.Problems = append(resp.Problems, &pluginv1.ConfigProblem{
				Account: a.GetId(), Path: "/number", Code: "required", Text: "number is missing",
			})
		}
		accounts[a.GetId()] = a.GetEnabled() || p.fault != "refuses-on-standby"
		onStandby = onStandby || a.GetStandby()
		if p.fault == "logs-secrets" {
			_, _ = fmt.Fprintln(os.Stderr, "token is", a.GetSecrets()[0].GetValue())
		}
	}
	if p.fault == "configures-once" && p.configured > 0 {
		return nil, errors.New("already configured")
	}
	if len(resp.Problems) > 0 || r.GetValidateOnly() && p.fault != "applies-validate-only" {
		p.traits(resp, r.GetAccounts())
		return resp, nil
	}
	p.traits(resp, r.GetAccounts())
	if err := p.tool.connect(r.GetGatewaySocket()); err != nil {
		return nil, err
	}
	p.giveUp(onStandby)
	p.configured++
	p.accounts, p.standby, p.identity = accounts, onStandby, r.GetIdentityKey()
	if !p.hasHTTP && p.fault != "no-http" {
		p.hasHTTP = true
		ln, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", r.GetHttpSocket())
		if err != nil {
			return nil, err
		}
		server := &http.Server{Handler: http.HandlerFunc(p.http), ReadHeaderTimeout: time.Second}
		go func() { _ = server.Serve(ln) }()
	}
	return resp, nil
}

func (p *plugin) http(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	key := p.identity
	p.mu.Unlock()
	header := r.Header.Get(identity.Header)
	_, err := identity.Verify(key, header, r.Method, r.URL.Path, time.Now())
	refused := header != "" && err != nil || header == "" && strings.HasPrefix(r.URL.Path, "/agent")
	switch p.fault {
	case "trusts-everybody":
		refused = false
	case "trusts-any-identity":
		refused = refused && header == ""
	case "trusts-nobody":
		refused = true
	}
	if refused {
		http.Error(w, "refused", http.StatusForbidden)
		return
	}
	_, _ = fmt.Fprintln(w, "ok")
}

// Drain implements PluginService.
func (p *plugin) Drain(ctx context.Context, r *pluginv1.DrainRequest) (*pluginv1.DrainResponse, error) {
	switch p.fault {
	case "drains-too-early":
		return &pluginv1.DrainResponse{}, nil
	case "drains-too-long":
		<-ctx.Done()
		return nil, ctx.Err()
	}
	deadline := time.Now().Add(time.Duration(r.GetDeadlineMs())*time.Millisecond - 50*time.Millisecond)
	for time.Now().Before(deadline) {
		p.mu.Lock()
		done := p.running == 0 && p.lastSeq >= r.GetLastCommandSeq()
		p.mu.Unlock()
		if done {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return &pluginv1.DrainResponse{}, nil
}

// Metrics implements PluginService.
func (p *plugin) Metrics(context.Context, *pluginv1.MetricsRequest) (*pluginv1.MetricsResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := fmt.Sprintf("# TYPE sessions_total counter\nsessions_total %d\n", p.sessions)
	switch p.fault {
	case "garbled-metrics":
		text = "sessions_total = many\n"
	case "series-per-thread":
		for t := range p.threads {
			text += fmt.Sprintf("messages_total{thread=%q} 1\nmessages_bytes{thread=%q} 1\n", t, t)
		}
	}
	return &pluginv1.MetricsResponse{Text: []byte(text)}, nil
}
