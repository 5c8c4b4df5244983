package bench

import (
	"context"
	"fmt"
	"strings"

	"github.com/parley-gateway/parley/drive"
)

// onlineAgents makes n agents of a service, logs them in and has them accept offers until each
// holds hold conversations (1 to 100). onEvent may be nil.
func onlineAgents(ctx context.Context, sys *system, n, hold int, service string, onEvent func([]byte)) ([]*drive.Agent, error) {
	if n == 0 {
		return nil, nil
	}
	var b strings.Builder
	var names []string
	b.WriteString("users:\n")
	for i := range n {
		names = append(names, fmt.Sprintf("text-%d", i))
		fmt.Fprintf(&b, "  - {login: text-%d, name: Text %d, role: agent, privileges: [sms], password: bench-password-%d}\n", i, i, i)
	}
	fmt.Fprintf(&b, "services:\n  - name: %s\n    users: [%s]\n    rules: {offer_timeout: 0s, inactivity_warn: 0s, inactivity_end: 0s, park_after: 0s, share: %d, spare: %[3]d}\n",
		service, strings.Join(names, ", "), (100+hold-1)/hold)
	if err := sys.apply(ctx, []byte(b.String())); err != nil {
		return nil, err
	}
	client := drive.HTTPClient()
	agents := make([]*drive.Agent, 0, n)
	for i := range n {
		token, err := drive.Login(ctx, client, sys.info.PublicURL, names[i], fmt.Sprintf("bench-password-%d", i))
		if err != nil {
			closeAgents(agents)
			return nil, err
		}
		offers := make(chan drive.Offer, 64)
		agent, err := drive.DialAgent(ctx, drive.AgentOptions{
			URL: websocket(sys.info.PublicURL, "/api/v1/stream"), Token: token, OnEvent: onEvent,
			OnOffer: func(o drive.Offer) {
				select {
				case offers <- o:
				default: // never blocks: an agent has one open offer at a time
				}
			},
		})
		if err != nil {
			closeAgents(agents)
			return nil, err
		}
		agents = append(agents, agent)
		go func() { // ends with the agent's socket, when a command fails, or with ctx
			for {
				select {
				case o := <-offers:
					_ = agent.Do(ctx, "accept", map[string]any{"offer": o.Offer}, nil) // an offer that is gone is no error
				case <-agent.Closed():
					return
				case <-ctx.Done():
					return
				}
			}
		}()
		if err := agent.Do(ctx, "ready", nil, nil); err != nil {
			closeAgents(agents)
			return nil, err
		}
	}
	return agents, nil
}

func closeAgents(agents []*drive.Agent) {
	for _, a := range agents {
		a.Close()
	}
}
