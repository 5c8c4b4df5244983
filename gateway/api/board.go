package api

import (
	"context"
	"net/http"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/auth"
)

// BoardView is the supervisors' board as JSON.
type BoardView struct {
	At     time.Time        `json:"at"`
	Agents []boardAgentView `json:"agents"`
	Queues []boardQueueView `json:"queues"`
}

type boardAgentView struct {
	ID      conversation.AgentID `json:"id" format:"uuid"`
	Name    string               `json:"name"`
	Status  string               `json:"status" enum:"logged_out,not_ready,ready,busy,acw"`
	Reason  string               `json:"reason" doc:"Why Not Ready; empty otherwise"`
	Pending bool                 `json:"pending" doc:"Not Ready when the present work ends"`
	Since   time.Time            `json:"since" doc:"Of the status"`
	Active  int                  `json:"active" doc:"Conversations joined"`
	Offers  int                  `json:"offers"`
	Wrapup  int                  `json:"wrapup"`
	Load    int                  `json:"load" doc:"Percent of the capacity in use"`
}

type boardQueueView struct {
	Service      conversation.ServiceID `json:"service" format:"uuid"`
	Name         string                 `json:"name"`
	Waiting      int                    `json:"waiting"`
	OldestSince  *time.Time             `json:"oldest_since" doc:"Since when the first waits; null when nobody does"`
	Offered      int                    `json:"offered"`
	Active       int                    `json:"active" doc:"Conversations with an agent"`
	AgentsReady  int                    `json:"agents_ready"`
	AgentsServed int                    `json:"agents_served" doc:"Agents logged in who serve it"`
}

// NewBoardView is the board as JSON has it.
func NewBoardView(b router.Board) BoardView {
	v := BoardView{At: b.At.UTC(), Agents: []boardAgentView{}, Queues: []boardQueueView{}}
	for _, a := range b.Agents {
		a.Since = a.Since.UTC()
		v.Agents = append(v.Agents, boardAgentView(a))
	}
	for _, q := range b.Queues {
		v.Queues = append(v.Queues, boardQueueView{
			Service: q.Service, Name: q.Name, Waiting: q.Waiting, OldestSince: TimeOrNil(q.OldestSince),
			Offered: q.Offered, Active: q.Active, AgentsReady: q.AgentsReady, AgentsServed: q.AgentsServed,
		})
	}
	return v
}

// TimeOrNil is t in UTC, or nil, which JSON writes as null, for the zero time.
func TimeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (a *API) boardRoutes() {
	register(a, op("board", http.MethodGet, "/board", "board", "Agents and queues as they are now", directory.RoleSupervisor), directory.RoleSupervisor,
		func(ctx context.Context, _ auth.Identity, _ *struct{}) (*recordOutput[BoardView], error) {
			return &recordOutput[BoardView]{NewBoardView(a.opts.Router.Board(ctx))}, nil
		})
}
