package router

import (
	"context"
	"sync"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
)

type routing struct {
	r  *Router
	mu sync.Mutex
}

func newRouting(r *Router) *routing { return &routing{r: r} }

func (q *routing) sync(s *conversation.State) {}
func (q *routing) agent(s *acd.AgentState)    {}
func (q *routing) run(ctx context.Context)    {}
func (q *routing) release()                   {}

// Board is the supervisors' view.
func (r *Router) Board(ctx context.Context) Board { return Board{} }
