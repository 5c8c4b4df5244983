package dispatch_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/dispatch"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/eventlog/memlog"
)

var (
	support = conversation.ServiceID{0x5e}
	ana     = conversation.AgentID{0xa0}
	errDisk = errors.New("the disk is on fire")
)

func conv(n byte) conversation.ConversationID { return conversation.ConversationID{0xc0, n} }

// office keeps conversations and agents for one node, as the router does.
type office struct {
	a      *dispatch.Assigner
	began  time.Time
	ctx    context.Context //nolint:containedctx // ends with the node
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu       sync.Mutex
	waiting  map[conversation.ConversationID]*conversation.State // nil: the conversation does not exist
	agent    *acd.AgentState
	refuse   error // the error of every offer
	offers   []made
	rows     []eventlog.ConversationRow
	rowsErr  error
	followed []conversation.ConversationID
	places   []told
}

type made struct {
	conv  conversation.ConversationID
	agent conversation.AgentID
	epoch int64
	after time.Duration
}

type told struct {
	conv     conversation.ConversationID
	position int
	waited   time.Duration
}

// Offer implements dispatch.Conversations: afterwards the request and the agent are not free.
func (o *office) Offer(id conversation.ConversationID, offer conversation.Offer, lease eventlog.LeaseRef, done func(error)) {
	o.mu.Lock()
	o.offers = append(o.offers, made{id, offer.Agent, lease.Epoch, time.Since(o.began)})
	err := o.refuse
	if err == nil {
		s := *o.waiting[id]
		s.Seq++
		s.Requests = slices.Clone(s.Requests)
		s.Requests[0].State = conversation.Offered
		o.waiting[id] = &s
		agent := *o.agent
		agent.Offer = &acd.HeldOffer{Offer: offer.Offer, Conversation: id}
		o.agent = &agent
	}
	o.mu.Unlock()
	if err == nil {
		o.tell(id)
	}
	done(err)
}

// Retell implements dispatch.Conversations.
func (o *office) Retell(failed acd.Assignment) {
	o.mu.Lock()
	s := o.waiting[failed.Conversation]
	o.mu.Unlock()
	if s == nil {
		o.a.Gone(failed.Request)
		return
	}
	o.tell(failed.Conversation)
}

func (o *office) tell(id conversation.ConversationID) {
	o.mu.Lock()
	s, agent := o.waiting[id], o.agent
	o.mu.Unlock()
	o.a.Conversation(s)
	o.a.Agent(agent)
}

// Unfinished implements dispatch.Conversations.
func (o *office) Unfinished(_ context.Context, visit func([]eventlog.ConversationRow) error) error {
	o.mu.Lock()
	rows, err := o.rows, o.rowsErr
	o.mu.Unlock()
	if err != nil {
		return err
	}
	return visit(rows)
}

// Follow implements dispatch.Conversations.
func (o *office) Follow(id conversation.ConversationID, _ uint64) {
	o.mu.Lock()
	o.followed = append(o.followed, id)
	o.mu.Unlock()
}

// Place implements dispatch.Conversations.
func (o *office) Place(id conversation.ConversationID, position int, waited time.Duration) {
	o.mu.Lock()
	o.places = append(o.places, told{id, position, waited})
	o.mu.Unlock()
}

// Go implements dispatch.Runner.
func (o *office) Go(f func()) bool { o.wg.Go(f); return true }

// Running implements dispatch.Runner.
func (o *office) Running() context.Context { return o.ctx }

// fixed is a directory without users.
type fixed struct{}

func (fixed) Snapshot() *directory.Snapshot      { return &directory.Snapshot{} }
func (fixed) Changes() (<-chan struct{}, func()) { return nil, func() {} }

// open starts a node of the installation that shares a log.
func open(t *testing.T, node string, log dispatch.Log) *office {
	t.Helper()
	o := &office{began: time.Now(), waiting: map[conversation.ConversationID]*conversation.State{}, agent: &acd.AgentState{ID: ana}}
	o.ctx, o.cancel = context.WithCancel(t.Context())
	o.a = dispatch.New(dispatch.Options{
		Node: node, Log: log, Directory: fixed{}, Conversations: o, Runner: o, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	o.a.SetProfile(ana, acd.Profile{Services: []conversation.ServiceID{support}})
	return o
}

func (o *office) run() *office {
	o.wg.Go(func() { o.a.Run(o.ctx) })
	synctest.Wait()
	return o
}

func (o *office) close() {
	o.cancel()
	o.wg.Wait()
}

// queue makes a conversation wait in the queue.
func (o *office) queue(id conversation.ConversationID) {
	o.mu.Lock()
	o.waiting[id] = &conversation.State{
		ID: id, Seq: 1, Service: support, Phase: conversation.PhaseOpen,
		Requests: []conversation.Request{{
			ID: conversation.RequestID{id[1]}, Target: conversation.Target{Service: support}, State: conversation.Queued, WaitingSince: time.Now()}},
	}
	s := o.waiting[id]
	o.mu.Unlock()
	o.a.Conversation(s)
}

// ready makes the agent take offers.
func (o *office) ready() {
	o.mu.Lock()
	o.agent = &acd.AgentState{ID: ana, LoggedIn: true, Ready: true}
	s := o.agent
	o.mu.Unlock()
	o.a.Agent(s)
}

func (o *office) wantOffers(t *testing.T, want ...made) {
	t.Helper()
	synctest.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !slices.Equal(o.offers, want) {
		t.Errorf("after %v: offers %v, want %v", time.Since(o.began), o.offers, want)
	}
}

func inBubble(t *testing.T, test func(t *testing.T, o *office)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := open(t, "n1", memlog.New())
		test(t, o)
		o.close()
	})
}

func TestOffersUnderTheLeaseOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := memlog.New()
		first := open(t, "n1", log).run()
		second := open(t, "n2", log).run()
		for _, o := range []*office{first, second} {
			o.ready()
			o.queue(conv(1))
		}
		first.wantOffers(t, made{conv(1), ana, 1, 0})
		second.wantOffers(t)
		if !first.a.Leads() || second.a.Leads() {
			t.Errorf("leads: first %t, second %t; want the first only", first.a.Leads(), second.a.Leads())
		}
		first.a.Release()
		first.close()
		time.Sleep(3 * time.Second)
		second.wantOffers(t, made{conv(1), ana, 2, 3 * time.Second})
		second.close()
	})
}

// A failed offer must be tried again after a moment, without holding up other offers.
func TestFailedOfferWaits(t *testing.T) {
	inBubble(t, func(t *testing.T, o *office) {
		o.run()
		o.refuse = errDisk
		o.ready()
		o.queue(conv(1))
		o.wantOffers(t, made{conv(1), ana, 1, 0})
		time.Sleep(249 * time.Millisecond)
		o.wantOffers(t, made{conv(1), ana, 1, 0})
		o.mu.Lock()
		o.refuse = nil
		o.mu.Unlock()
		time.Sleep(time.Millisecond)
		o.wantOffers(t, made{conv(1), ana, 1, 0}, made{conv(1), ana, 1, 250 * time.Millisecond})
		time.Sleep(time.Hour)
		o.wantOffers(t, made{conv(1), ana, 1, 0}, made{conv(1), ana, 1, 250 * time.Millisecond})
	})
}

func TestConversationThatIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T, o *office) {
		o.run()
		o.queue(conv(1))
		o.mu.Lock()
		o.waiting[conv(1)], o.refuse = nil, errDisk
		o.mu.Unlock()
		o.ready()
		time.Sleep(time.Minute)
		o.wantOffers(t, made{conv(1), ana, 1, 0})
	})
}

// A node that finds that another node leads must make no offers until it holds the lease again.
func TestFencedOffer(t *testing.T) {
	inBubble(t, func(t *testing.T, o *office) {
		o.run()
		o.refuse = eventlog.ErrFenced
		o.ready()
		o.queue(conv(1))
		time.Sleep(2900 * time.Millisecond)
		o.wantOffers(t, made{conv(1), ana, 1, 0})
		if o.a.Leads() {
			t.Error("the node leads although its lease was another's")
		}
		o.mu.Lock()
		o.refuse = nil
		o.mu.Unlock()
		time.Sleep(100 * time.Millisecond)
		o.wantOffers(t, made{conv(1), ana, 1, 0}, made{conv(1), ana, 1, 3 * time.Second})
	})
}

// A node that begins to lead must read the conversations that it has not seen, as soon as it can.
func TestTakeOver(t *testing.T) {
	inBubble(t, func(t *testing.T, o *office) {
		o.queue(conv(1))
		o.queue(conv(2))
		o.rows = []eventlog.ConversationRow{{ID: [16]byte(conv(1)), Seq: 1}, {ID: [16]byte(conv(2)), Seq: 2}, {ID: [16]byte(conv(3)), Seq: 1}}
		o.rowsErr = errDisk
		o.run()
		if o.a.Leads() {
			t.Error("the node leads although it could not read what waits")
		}
		o.mu.Lock()
		o.rowsErr = nil
		o.mu.Unlock()
		time.Sleep(3 * time.Second)
		synctest.Wait()
		o.mu.Lock()
		defer o.mu.Unlock()
		if want := []conversation.ConversationID{conv(2), conv(3)}; !slices.Equal(o.followed, want) {
			t.Errorf("followed %v, want %v", o.followed, want)
		}
	})
}

// Places must be told when they may have changed, once a second at most.
func TestPlaces(t *testing.T) {
	inBubble(t, func(t *testing.T, o *office) {
		want := func(want ...told) {
			t.Helper()
			synctest.Wait()
			o.mu.Lock()
			defer o.mu.Unlock()
			if !slices.Equal(o.places, want) {
				t.Errorf("told %v, want %v", o.places, want)
			}
			o.places = nil
		}
		o.run()
		o.queue(conv(1))
		time.Sleep(200 * time.Millisecond)
		o.queue(conv(2))
		time.Sleep(800 * time.Millisecond)
		want(told{conv(1), 1, time.Second}, told{conv(2), 2, 800 * time.Millisecond})
		time.Sleep(time.Minute)
		want()
		o.a.TellAgain()
		time.Sleep(time.Second)
		want(told{conv(1), 1, 62 * time.Second}, told{conv(2), 2, 61800 * time.Millisecond})
	})
}

func TestCounts(t *testing.T) {
	inBubble(t, func(t *testing.T, o *office) {
		o.run()
		o.queue(conv(1))
		o.queue(conv(2))
		o.ready()
		synctest.Wait()
		joined := &conversation.State{ID: conv(3), Seq: 1, Service: support, Phase: conversation.PhaseOpen,
			Participants: []conversation.Participant{{Who: conversation.Author{Kind: conversation.Agent, Agent: ana}, State: conversation.Joined}}}
		o.a.Conversation(joined)
		got := o.a.Counts([]conversation.ServiceID{support, {0x5f}})
		want := dispatch.Counts{Queue: acd.Queue{Waiting: 1, OldestSince: o.began, LoggedIn: 1}, Active: 1, Offered: 1}
		if got[0] != want || got[1] != (dispatch.Counts{}) {
			t.Errorf("counts %+v, want %+v and nothing", got, want)
		}
		ended := *joined
		ended.Seq, ended.Phase = 2, conversation.PhaseEnded
		o.a.Conversation(&ended)
		if got := o.a.Counts([]conversation.ServiceID{support})[0].Active; got != 0 {
			t.Errorf("active after the end: %d, want 0", got)
		}
	})
}
