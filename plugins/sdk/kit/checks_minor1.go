package kit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
	"github.com/parley-gateway/parley/plugins/sdk/internal/wirehost"
)

func needsAbility(name string) func(*subject) string {
	return func(s *subject) string {
		if !slices.Contains(s.desc.GetAbilities(), name) {
			return "does not declare the ability " + name
		}
		return ""
	}
}

func newChecks() []check {
	return []check{
		{
			group: "descriptor", name: "bounds", run: checkBounds,
			rule: "silence is at most 30 s and drain at most 1 h; call commands are known ones",
		},
		{
			group: "descriptor", name: "no-channel", run: checkNoChannel,
			needs: func(s *subject) string {
				if s.desc.GetDelivery() != pluginv1.Delivery_DELIVERY_NONE {
					return "is a channel"
				}
				return ""
			},
			rule: "a plugin that is no channel is a tool or a bot, and emits no messages",
		},
		{
			group: "configuration", name: "traits", run: checkTraits,
			rule: "traits are those of configured accounts, each once, with a known placement, and do not depend on enabled",
		},
		{
			group: "commands", name: "mark-read", run: checkMarkRead, needs: needsAbility(contract.AbilityMarkRead),
			rule: "a read mark gets a Result, and no Begin",
		},
		{
			group: "commands", name: "typing", run: checkTyping, needs: needsAbility(contract.AbilityTyping),
			rule: "typing gets a Result that asks for no repeat, and no Begin",
		},
		{
			group: "commands", name: "reference", run: checkReference,
			needs: func(s *subject) string {
				if c := s.desc.GetCapabilities(); needsCommands(s) != "" || !c.GetReaction() && !c.GetEdit() && !c.GetRevoke() {
					return "neither reacts, edits nor revokes by commands"
				}
				return ""
			},
			rule: "a reaction, edit or revocation of a message that the provider never had fails for good",
		},
		{
			group: "calls", name: "unsupported", run: checkCallUnsupported,
			rule: "a call command that is not declared, or is for a call that it does not hold, fails",
		},
		{
			group: "events", name: "templates", run: checkTemplates, needs: needsAbility(contract.AbilityTemplates),
			rule: "each Session gets the templates of configured accounts, within the limits",
		},
		{
			group: "bots", name: "answers-once", run: checkBotOnce,
			needs: func(s *subject) string {
				if s.desc.GetBot() == nil {
					return "declares no bot"
				}
				return ""
			},
			rule: "a bot that was killed and started again does the same under the same ids, from an account and without a thread",
		},
	}
}

func checkBounds(_ context.Context, s *subject) error {
	if n := s.desc.GetSilenceMs(); n > contract.MaxSilence {
		return fmt.Errorf("silence_ms is %d, at most %d", n, contract.MaxSilence)
	}
	if n := s.desc.GetDrainMs(); n > contract.MaxDrain {
		return fmt.Errorf("drain_ms is %d, at most %d", n, contract.MaxDrain)
	}
	known := (&pluginv1.CallCommand{}).ProtoReflect().Descriptor().Oneofs().ByName("command").Fields()
	for _, name := range s.desc.GetCalls().GetCommands() {
		found := false
		for i := range known.Len() {
			found = found || string(known.Get(i).Name()) == name
		}
		if !found {
			return fmt.Errorf("there is no call command %q", name)
		}
	}
	return nil
}

func checkNoChannel(ctx context.Context, s *subject) error {
	if s.desc.GetTool() == nil && s.desc.GetBot() == nil {
		return errors.New("neither a tool nor a bot")
	}
	p, ses, tool, err := s.tool(ctx)
	if err != nil {
		return err
	}
	if s.desc.GetTool() != nil {
		if _, err := s.begin(ctx, p, tool); err != nil {
			return err
		}
	}
	return quiet(ctx, ses, 300*time.Millisecond, func(it wirehost.Item) bool {
		return it.Event != nil && it.Event.GetTool() == nil && it.Event.GetBot() == nil && it.Event.GetResult() == nil
	})
}

func checkTraits(ctx context.Context, s *subject) error {
	p, err := s.start(ctx)
	if err != nil {
		return err
	}
	if _, err := p.describe(ctx); err != nil {
		return err
	}
	var before *pluginv1.ConfigureResponse // to the configuration before
	for _, edit := range []func(*pluginv1.ConfigureRequest){
		func(r *pluginv1.ConfigureRequest) { standby(r); r.ValidateOnly = true }, // as before an account is enabled
		func(r *pluginv1.ConfigureRequest) { r.ValidateOnly = true },
		func(*pluginv1.ConfigureRequest) {},
	} {
		resp, err := s.configure(ctx, p, edit)
		if err != nil {
			return err
		}
		if before != nil && !sameTraits(before.GetAccounts(), resp.GetAccounts()) {
			return fmt.Errorf("other traits of the same account, by whether it is enabled or only validated: %v, then %v", before.GetAccounts(), resp.GetAccounts())
		}
		before = resp
		seen := map[string]bool{}
		for _, t := range resp.GetAccounts() {
			switch {
			case !slices.ContainsFunc(s.opts.Fixtures.Accounts, func(a Account) bool { return a.ID == t.GetAccount() }):
				return fmt.Errorf("traits of the account %q, which was not configured", t.GetAccount())
			case seen[t.GetAccount()]:
				return fmt.Errorf("traits of the account %q twice", t.GetAccount())
			case t.GetPlacement() > pluginv1.Placement_PLACEMENT_ONE || t.GetPlacement() < 0:
				return fmt.Errorf("placement %d", t.GetPlacement())
			}
			seen[t.GetAccount()] = true
		}
	}
	return nil
}

// passing makes a command of a channel that needs no Begin, and returns its Result.
func (s *subject) passing(ctx context.Context, c *pluginv1.Command) (*pluginv1.Result, error) {
	_, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return nil, err
	}
	if err := ses.Command(c); err != nil {
		return nil, err
	}
	limit, cancel := context.WithTimeout(ctx, s.opts.Patience)
	defer cancel()
	it, err := ses.Wait(limit, func(it wirehost.Item) bool {
		return it.Begin.GetCommandId() == c.GetCommandId() || it.Event.GetResult().GetCommandId() == c.GetCommandId()
	})
	if err != nil {
		return nil, fmt.Errorf("no result for command %s within %v: %w", c.GetCommandId(), s.opts.Patience, err)
	}
	if it.Begin != nil {
		return nil, errors.New("it called Begin")
	}
	return it.Event.GetResult(), settled(it.Event.GetResult())
}

func checkMarkRead(ctx context.Context, s *subject) error {
	c := s.command(1, 1)
	c.Kind = &pluginv1.Command_MarkRead{MarkRead: &pluginv1.MarkRead{
		MessageId: "00000000-0000-7000-a000-000000000001", ProviderId: "kit-1", ProviderIds: []string{"kit-1"},
	}}
	_, err := s.passing(ctx, c)
	return err
}

func checkTyping(ctx context.Context, s *subject) error {
	c := s.command(1, 1)
	c.Kind = &pluginv1.Command_Typing{Typing: &pluginv1.Typing{On: true}}
	r, err := s.passing(ctx, c)
	if err == nil && r.GetRetryable() {
		err = errors.New("it asks for another attempt")
	}
	return err
}

func checkReference(ctx context.Context, s *subject) error {
	_, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	const nobody = "00000000-0000-7000-a000-00000000dead"
	for i, c := range []struct {
		can  bool
		part *pluginv1.Part
	}{
		{s.desc.GetCapabilities().GetReaction(), &pluginv1.Part{Part: &pluginv1.Part_Reaction{Reaction: &pluginv1.Reaction{Message: nobody, Emoji: "x"}}}},
		{s.desc.GetCapabilities().GetEdit(), &pluginv1.Part{Part: &pluginv1.Part_Edit{Edit: &pluginv1.Edit{Message: nobody, Text: "x"}}}},
		{s.desc.GetCapabilities().GetRevoke(), &pluginv1.Part{Part: &pluginv1.Part_Revoke{Revoke: &pluginv1.Revoke{Message: nobody}}}},
	} {
		if !c.can {
			continue
		}
		cmd := s.command(i, 1)
		cmd.GetSend().Parts = []*pluginv1.Part{c.part}
		if err := ses.Command(cmd); err != nil {
			return err
		}
		r, err := result(ctx, ses, cmd.GetCommandId(), s.opts.Patience)
		if err != nil {
			return err
		}
		if r.GetOutcome() != pluginv1.Outcome_OUTCOME_FAILED || r.GetRetryable() {
			return fmt.Errorf("%T: outcome %v, retryable %v; want a final failure", c.part.GetPart(), r.GetOutcome(), r.GetRetryable())
		}
	}
	return nil
}

func checkCallUnsupported(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	leg := "00000000-0000-7000-c000-00000000dead"
	for i, call := range []*pluginv1.CallCommand{
		{Command: &pluginv1.CallCommand_HangUp{HangUp: &pluginv1.CallHangUp{Leg: leg}}},
		{Command: &pluginv1.CallCommand_Video{Video: &pluginv1.CallVideo{Leg: leg, On: true}}},
		{Command: &pluginv1.CallCommand_Record{Record: &pluginv1.CallRecord{Action: pluginv1.RecordAction_RECORD_ACTION_START}}},
		{}, // of a newer host
	} {
		call.Session = toolNobody
		c := s.command(i, 1)
		c.Kind = &pluginv1.Command_Call{Call: call}
		if err := ses.Command(c); err != nil {
			return err
		}
		r, err := result(ctx, ses, c.GetCommandId(), 5*time.Second)
		if err != nil {
			return fmt.Errorf("%T: %w", call.GetCommand(), err)
		}
		if r.GetOutcome() != pluginv1.Outcome_OUTCOME_FAILED {
			return fmt.Errorf("%T: outcome %v, want a failure", call.GetCommand(), r.GetOutcome())
		}
	}
	return alive(ctx, p, ses)
}

func checkTemplates(ctx context.Context, s *subject) error {
	p, ses, err := s.ready(ctx, wirehost.Policy{})
	if err != nil {
		return err
	}
	for range 2 {
		limit, cancel := context.WithTimeout(ctx, s.opts.Patience)
		it, err := ses.Wait(limit, func(it wirehost.Item) bool { return it.Templates != nil })
		cancel()
		if err != nil {
			return fmt.Errorf("no templates within %v: %w", s.opts.Patience, err)
		}
		list := it.Templates
		switch {
		case !slices.ContainsFunc(s.opts.Fixtures.Accounts, func(a Account) bool { return a.ID == list.GetAccount() }):
			return fmt.Errorf("templates of the account %q, which is not configured", list.GetAccount())
		case len(list.GetTemplates()) > contract.MaxTemplates:
			return fmt.Errorf("%d templates, at most %d", len(list.GetTemplates()), contract.MaxTemplates)
		}
		for _, t := range list.GetTemplates() {
			if t.GetName() == "" || t.GetStatus() == "" {
				return errors.New("a template without a name or a status")
			}
		}
		ses.Cut()
		if ses, err = p.session(ctx, nil, wirehost.Policy{}); err != nil {
			return err
		}
	}
	return nil
}

// checkBotOnce has three processes read the same conversation. The first is killed as soon as it does something,
// which is not acknowledged; what the next ones do must be the same.
func checkBotOnce(ctx context.Context, s *subject) error {
	first := min(s.opts.Patience, 5*time.Second)
	killed, err := s.answers(ctx, true, first)
	if err != nil || len(killed) == 0 { // a bot that does nothing here does nothing twice
		return err
	}
	whole, err := s.answers(ctx, false, first)
	if err != nil {
		return fmt.Errorf("after a crash: %w", err)
	}
	// What was acknowledged need not come again.
	again, err := s.answers(ctx, false, afterwards)
	if err != nil {
		return fmt.Errorf("after a restart: %w", err)
	}
	for _, earlier := range []struct {
		when    string
		did, of map[string]*pluginv1.BotAction
	}{{"after a crash", killed, whole}, {"after a restart", again, whole}} {
		for id, action := range earlier.did {
			if diff := cmp.Diff(earlier.of[id], action, protocmp.Transform()); diff != "" {
				return fmt.Errorf("what it does %s is something else: (-one reading +another)\n%s", earlier.when, diff)
			}
		}
	}
	return nil
}

// afterwards is how long a bot that has done something may take to do more.
const afterwards = 400 * time.Millisecond

// answers lets a fresh process answer a customer's message, and returns what it did, by the identity of each: the
// client id of a post, else the dedupe key. It waits as long as first for the first of it. kill: nothing is
// acknowledged, and the process ends with its first event.
func (s *subject) answers(ctx context.Context, kill bool, first time.Duration) (map[string]*pluginv1.BotAction, error) {
	defer s.cleanUp()
	policy := wirehost.Policy{}
	if kill {
		policy.Ack = func(*pluginv1.Event) *pluginv1.EventAck { return nil }
	}
	p, ses, err := s.ready(ctx, policy)
	if err != nil {
		return nil, err
	}
	account := s.opts.Fixtures.Accounts[0].ID
	p.ledger.Bot(account, talkID, true)
	for range 2 { // a notice may come again
		if err := ses.BotNotices(&pluginv1.BotNotice{Account: account, Conversation: talkID, Seq: 2}); err != nil {
			return nil, err
		}
	}
	limit, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	it, err := ses.Wait(limit, func(it wirehost.Item) bool { return it.Subscribe.GetConversation() == talkID })
	if err != nil {
		return nil, fmt.Errorf("it does not subscribe to the conversation: %w", err)
	}
	if sub := it.Subscribe; sub.GetAudience() != "bot" || sub.GetThread() != "" || sub.GetAfterConversation() != "" || sub.GetAccount() != account {
		return nil, fmt.Errorf("subscription %v, want the audience bot, the account, and neither a thread nor after_conversation", sub)
	}
	head, _ := json.Marshal(map[string]any{"id": "00000000-0000-7000-a000-000000000001", "author": map[string]string{"kind": "customer"}, "kinds": []string{"text"}})
	body, _ := json.Marshal(map[string]any{"parts": []any{map[string]string{"kind": "text", "text": canary}}})
	batch := &pluginv1.RecordBatch{Subscription: it.Subscribe.GetSubscription(), Live: true, Records: []*pluginv1.Record{
		{Conversation: talkID, Seq: 1, Type: "started/1", Head: []byte("{}")},
		{Conversation: talkID, Seq: 2, Prev: 1, Type: "participant.joined/1", Head: []byte("{}")},
		{Conversation: talkID, Seq: 3, Prev: 2, Type: "message/1", Head: head, Body: body},
	}}
	if err := ses.Records(batch); err != nil {
		return nil, err
	}
	if err := noticed(ctx, ses); err != nil {
		return nil, err
	}
	var said []*pluginv1.Event
	next := func(it wirehost.Item) bool { // whether it is one more than those in said
		return it.Event.GetBot() != nil && !slices.Contains(said, it.Event)
	}
	for wait := first; quiet(ctx, ses, wait, next) != nil; wait = afterwards { // until it says nothing more for a while
		it, err := ses.Wait(ctx, next)
		if err != nil {
			return nil, err
		}
		said = append(said, it.Event)
		if kill {
			break
		}
	}
	did := map[string]*pluginv1.BotAction{}
	for _, ev := range said {
		if ev.GetAccount() != account || ev.GetThread() != "" || ev.GetBot().GetConversation() != talkID {
			return nil, fmt.Errorf("a bot's event of account %q, thread %q and conversation %q", ev.GetAccount(), ev.GetThread(), ev.GetBot().GetConversation())
		}
		id := ev.GetDedupeKey()
		if post := ev.GetBot().GetPost(); post != nil {
			if id = post.GetClientId(); id == "" || len(id) > 64 {
				return nil, fmt.Errorf("a post with a client id of %d bytes, want 1 to 64", len(id))
			}
		}
		did[id] = ev.GetBot()
	}
	return did, nil
}
