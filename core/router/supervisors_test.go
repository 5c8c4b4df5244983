package router_test

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-gateway/parley/core/acd"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/eventlog"
	"github.com/parley-gateway/parley/core/router"
)

// withSupervisor adds a supervisor to the world's records.
func (w *world) withSupervisor(login string) conversation.AgentID {
	w.t.Helper()
	u, err := w.dir.PutUser(w.t.Context(), directory.User{Login: login, Name: "Supervisor " + login, Role: directory.RoleSupervisor})
	must(w.t, err)
	return u.ID
}

// supervision is how somebody supervises a conversation, and why it ended if it has.
func supervision(t *testing.T, r *router.Router, conv conversation.ConversationID, who conversation.AgentID) (mode conversation.Mode, ended conversation.Cause) {
	t.Helper()
	recs, err := r.Records(t.Context(), conv, conversation.AudienceAudit, 0, 1000)
	must(t, err)
	for _, rec := range recs {
		switch h := headOf(t, rec).(type) {
		case *conversation.SupervisorJoined:
			if h.Agent == who {
				mode, ended = h.Mode, ""
			}
		case *conversation.SupervisorLeft:
			if h.Agent == who {
				mode, ended = "", h.Cause
			}
		}
	}
	return mode, ended
}

// H3, A20: supervision ends with the grace period of a lost connection, and at once with a logout, in
// every mode and in all conversations; who is back in time goes on.
func TestSupervisorLost(t *testing.T) {
	for name, c := range map[string]struct {
		back   time.Duration // when the supervisor comes back; 0: never
		logout bool
		full   time.Duration // how long the disk is full, from the loss on
		at     time.Duration // when the test looks
		ended  conversation.Cause
	}{
		"in the grace":               {at: 29 * time.Second},
		"back in the grace":          {back: 20 * time.Second, at: 5 * time.Minute},
		"after the grace":            {at: 31 * time.Second, ended: conversation.CauseConnection},
		"back after the grace":       {back: 40 * time.Second, at: time.Minute, ended: conversation.CauseConnection},
		"after the grace, disk full": {full: time.Minute, at: 95 * time.Second, ended: conversation.CauseConnection},
		"logged out":                 {logout: true, ended: conversation.CauseLogout},
		"logged out, then disk full": {logout: true, full: time.Minute, at: 65 * time.Second, ended: conversation.CauseLogout},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			sue := w.withSupervisor("sue")
			w.inBubble(t, func(t *testing.T, b *bubble) {
				convs := []conversation.ConversationID{b.startChat(b.r, "v", "Cora", "hello").Conversation, b.startChat(b.r, "x", "Cora", "hello").Conversation}
				modes := []conversation.Mode{conversation.ModeMonitor, conversation.ModeBarge}
				if _, err := b.r.Supervise(t.Context(), sue, convs[0], modes[0]); acd.Code(err) != "logged_out" {
					t.Errorf("supervision by somebody who is not there: %v", err)
				}
				must(t, b.r.AgentConnected(t.Context(), sue))
				for i, conv := range convs {
					for _, m := range []conversation.Mode{conversation.ModeCoach, modes[i]} {
						_, err := b.r.Supervise(t.Context(), sue, conv, m)
						must(t, err)
					}
				}
				switch {
				case c.logout && c.full > 0:
					b.fullAfter.Store(2) // the logout itself is written, and then the disk is full
					if err := b.r.Logout(t.Context(), sue); !errors.Is(err, eventlog.ErrFull) {
						t.Errorf("logout: %v, want ErrFull", err)
					}
				case c.logout:
					must(t, b.r.Logout(t.Context(), sue))
				default:
					b.full.Store(c.full > 0)
					b.r.AgentDisconnected(sue)
				}
				for passed, step := time.Duration(0), 5*time.Second; passed < c.at; passed += step {
					if step = min(step, c.at-passed); passed == c.back && c.back > 0 {
						must(t, b.r.AgentConnected(t.Context(), sue))
					}
					if passed == c.full {
						b.full.Store(false)
					}
					b.after(step)
				}
				for i, conv := range convs {
					mode, ended := supervision(t, b.r, conv, sue)
					if want := modes[i]; ended != c.ended || (c.ended == "") != (mode == want) {
						t.Errorf("supervision %d is %q, ended %q; want %q, ended %q", i, mode, ended, want, c.ended)
					}
					if listed := slices.Contains(agentOf(t, b.r, sue).Supervises, conv); listed != (mode != "") {
						t.Errorf("the supervisor's stream lists conversation %d: %t, in mode %q", i, listed, mode)
					}
				}
			})
		})
	}
}

// H3, DESIGN.md 9: the supervision by those whose sockets were at a node that died ends with their grace period at
// the others, also if one of its conversations is nowhere in memory; a socket that opens elsewhere in time keeps it.
func TestSupervisorsOfADeadNode(t *testing.T) {
	w := newWorld(t, nil)
	lost, back := w.withSupervisor("sue"), w.withSupervisor("rita")
	w.inTwins(t, func(t *testing.T, w *twins) {
		conv := w.startChat(w.nodes[0], "v", "Cora", "hello").Conversation
		for _, id := range []conversation.AgentID{lost, back} {
			must(t, w.nodes[0].AgentConnected(t.Context(), id))
			_, err := w.nodes[0].Supervise(t.Context(), id, conv, conversation.ModeMonitor)
			must(t, err)
		}
		synctest.Wait()
		w.kill[0]()
		time.Sleep(15 * time.Second) // until the other node knows
		must(t, w.nodes[1].AgentConnected(t.Context(), back))
		time.Sleep(time.Minute)
		synctest.Wait()
		if mode, ended := supervision(t, w.nodes[1], conv, lost); mode != "" || ended != conversation.CauseConnection {
			t.Errorf("supervision from the dead node is %q, ended %q; want ended connection", mode, ended)
		}
		if st := w.state(1, conv); st.ModeOf(back) != conversation.ModeMonitor {
			t.Errorf("who is back supervises as %q, want monitor", st.ModeOf(back))
		}
	})
}
