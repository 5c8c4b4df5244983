package directory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/sessions"
)

// Apply makes the records as r says, all or nothing, and returns what it changed, in order;
// applying the same again changes nothing. With dryRun it only returns what it would change. The
// error joins everything that was found wrong, each as a *RecordError with file and line.
func (d *Directory) Apply(ctx context.Context, r Records, dryRun bool) ([]Change, error) {
	// Hashing is slow on purpose, so it is done before other writers have to wait.
	hashes, err := d.newHashes(r)
	if err != nil {
		return nil, err
	}
	var done []Change
	_, err = d.edit(ctx, func(e *editor) error {
		a := applier{editor: e, records: r, hashes: hashes}
		if err := a.run(); err != nil {
			return err
		}
		if done = e.changes; dryRun {
			return errDryRun
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// newHashes hashes those passwords that differ from the users' present ones. The keys are indexes
// in r.Users.
func (d *Directory) newHashes(r Records) (map[int]string, error) {
	snap, hashes := d.Snapshot(), map[int]string{}
	var errs []error
	for i, u := range r.Users {
		if u.Password.IsZero() {
			continue
		}
		known, _ := snap.UserByLogin(u.Login)
		if old := snap.PasswordHash(known.ID); old != "" {
			if same, err := CheckPassword(u.Password.value, old); err == nil && same {
				continue
			}
		}
		h, err := HashPassword(u.Password.value)
		if err != nil {
			errs = append(errs, &RecordError{Where: r.source.at(fmt.Sprintf("users[%d].password", i)), Err: err})
		}
		hashes[i] = h
	}
	return hashes, errors.Join(errs...)
}

// applier turns names into ids and records into changes. It goes on after an error, so that all
// errors are reported at once.
type applier struct {
	*editor
	records Records
	hashes  map[int]string
	errs    []error
}

func (a *applier) run() error {
	for i, k := range a.records.Skills {
		_, err := a.putSkill(Skill(k))
		a.report(fmt.Sprintf("skills[%d]", i), err)
	}
	for i, t := range a.records.Teams {
		old, _ := a.snap.TeamByName(t.Name)
		_, err := a.putTeam(Team{ID: old.ID, Name: t.Name})
		a.report(fmt.Sprintf("teams[%d]", i), err)
	}
	for i, u := range a.records.Users {
		a.user(i, u)
	}
	for i, s := range a.records.Services {
		a.service(i, s)
	}
	for i, acc := range a.records.Accounts {
		a.account(i, acc)
	}
	a.tools()
	for i, s := range a.records.Services {
		a.bot(i, s)
	}
	for i, c := range a.records.Contacts {
		a.contact(i, c)
	}
	return errors.Join(a.errs...)
}

// report records an error with its place; the faults of an invalid record are recorded one by one.
func (a *applier) report(path string, err error) {
	var inv *InvalidError
	switch {
	case err == nil:
	case errors.As(err, &inv):
		for _, f := range inv.Faults {
			a.fault(path+"."+f.Path, errors.New(f.Problem))
		}
	default:
		a.fault(path, err)
	}
}

func (a *applier) fault(path string, err error) {
	a.errs = append(a.errs, &RecordError{Where: a.records.source.at(path), Err: err})
}

// named turns names into ids, and reports the names that do not exist.
func named[K comparable](a *applier, path, kind string, names []string, find func(string) (K, bool)) []K {
	var out []K
	for i, n := range names {
		id, ok := find(n)
		if !ok {
			a.fault(fmt.Sprintf("%s[%d]", path, i), fmt.Errorf("there is no %s %q", kind, n))
			continue
		}
		out = append(out, id)
	}
	return out
}

func (a *applier) team(name string) (conversation.TeamID, bool) {
	t, ok := a.snap.TeamByName(name)
	return t.ID, ok
}

func (a *applier) login(login string) (conversation.AgentID, bool) {
	u, ok := a.snap.UserByLogin(login)
	return u.ID, ok
}

func (a *applier) user(i int, r UserRecord) {
	at := fmt.Sprintf("users[%d]", i)
	old, _ := a.snap.UserByLogin(r.Login)
	if r.Role == "" {
		r.Role = RoleAgent
	}
	u, err := a.putUser(User{
		ID: old.ID, Login: r.Login, Name: r.Name, FirstName: r.FirstName, LastName: r.LastName, Email: r.Email,
		Role: r.Role, Privileges: r.Privileges, Skills: r.Skills, Photo: old.Photo, Disabled: r.Disabled,
		Teams:    named(a, at+".teams", "team", r.Teams, a.team),
		Capacity: Capacity(r.Capacity),
	})
	if a.report(at, err); err != nil {
		return
	}
	if h := a.hashes[i]; h != "" {
		a.report(at, a.setHash(u.ID, h, sessions.ID{}))
	}
}

func (a *applier) service(i int, r ServiceRecord) {
	at := fmt.Sprintf("services[%d]", i)
	old, _ := a.snap.ServiceByName(r.Name)
	features := DefaultFeatures()
	if r.Features != nil {
		features = *r.Features
	}
	rules, media := MakeRules(r.Rules, r.Media)
	bot, _ := a.snap.Account(old.Bot)
	if bot.Name != r.Bot { // set once the accounts, which name services, are there
		bot.ID = conversation.AccountID{}
	}
	_, err := a.putService(Service{
		ID: old.ID, Bot: bot.ID, Name: r.Name, Skills: r.Skills, Rules: rules, Media: media,
		Dispositions: r.Dispositions, Features: features, Texts: r.Texts,
		Teams: named(a, at+".teams", "team", r.Teams, a.team),
		Users: named(a, at+".users", "user", r.Users, a.login),
		Tools: old.Tools, // see tools
	})
	a.report(at, err)
}

// bot makes an account the bot of a service that names it.
func (a *applier) bot(i int, r ServiceRecord) {
	if r.Bot == "" {
		return
	}
	at := fmt.Sprintf("services[%d].bot", i)
	s, ok := a.snap.ServiceByName(r.Name)
	if !ok {
		return // reported with the service itself
	}
	acc, ok := a.snap.AccountByName(r.Bot)
	if !ok {
		a.fault(at, fmt.Errorf("there is no account %q", r.Bot))
		return
	}
	if s.Bot == acc.ID {
		return
	}
	s.Bot = acc.ID
	_, err := a.putService(s)
	a.report(at, err)
}

func (a *applier) account(i int, r AccountRecord) {
	at := fmt.Sprintf("accounts[%d]", i)
	old, _ := a.snap.AccountByName(r.Name)
	acc := Account{
		ID: old.ID, Name: r.Name, Plugin: r.Plugin, Inbound: r.Inbound, Files: r.Files,
		Enabled: r.Enabled == nil || *r.Enabled,
	}
	var err error
	if acc.Settings, err = json.Marshal(r.Settings); err != nil {
		a.fault(at+".settings", err)
		return
	}
	if r.Settings == nil {
		acc.Settings = nil
	}
	before := len(a.errs)
	if r.Service != "" {
		s, ok := a.snap.ServiceByName(r.Service)
		if acc.Service = s.ID; !ok {
			a.fault(at+".service", fmt.Errorf("there is no service %q", r.Service))
		}
	}
	if r.User != "" {
		u, ok := a.snap.UserByLogin(r.User)
		if acc.User = u.ID; !ok {
			a.fault(at+".user", fmt.Errorf("there is no user %q", r.User))
		}
	}
	if len(a.errs) > before {
		return // the wrong target is reported already, and "needs a target" would only confuse
	}
	var secrets map[string]string
	if r.Secrets != nil {
		secrets = make(map[string]string, len(r.Secrets))
		for n, s := range r.Secrets {
			secrets[n] = s.value
		}
	}
	_, err = a.putAccount(acc, secrets)
	a.report(at, err)
}

func (a *applier) contact(i int, r ContactRecord) {
	at := fmt.Sprintf("contacts[%d]", i)
	c := Contact{
		Name: r.Name, FirstName: r.FirstName, LastName: r.LastName, Company: r.Company,
		Addresses: append([]string(nil), r.Addresses...), Notes: r.Notes, Attributes: r.Attributes,
	}
	if len(r.Addresses) == 0 {
		a.fault(at+".addresses", errors.New("must name at least one address, by which the contact is found"))
		return
	}
	for _, address := range r.Addresses {
		n, ok := NormaliseAddress(address)
		if !ok {
			continue // putContact reports the invalid address
		}
		ids, err := a.d.contactIDs(a.ctx, a.tx, n)
		if err != nil {
			a.fault(at, err)
			return
		}
		for _, id := range ids {
			if !c.ID.IsZero() && c.ID != id {
				a.fault(at+".addresses", errors.New("belong to several contacts already"))
				return
			}
			c.ID = id
		}
	}
	_, err := a.putContact(c)
	a.report(at, err)
}

// rules returns the rules in the form in which they are stored; what r leaves out is as in defaults.
func (r RulesRecord) rules(defaults conversation.Rules) conversation.Rules {
	out := defaults
	for _, f := range []struct {
		to   *conversation.Millis
		from *Duration
	}{
		{&out.OfferTimeout, r.OfferTimeout}, {&out.InactivityWarn, r.InactivityWarn}, {&out.InactivityEnd, r.InactivityEnd},
		{&out.UnansweredEnd, r.UnansweredEnd}, {&out.WrapupLimit, r.WrapupLimit}, {&out.RequeueAfter, r.RequeueAfter},
		{&out.ParkAfter, r.ParkAfter}, {&out.OwnerFirst, r.OwnerFirst},
		{&out.ParkedEnd, r.ParkedEnd}, {&out.BotSilence, r.BotSilence},
	} {
		if f.from != nil {
			*f.to = conversation.Millis(*f.from)
		}
	}
	switch end := out.InactivityEnd; {
	case r.InactivityWarn != nil && *r.InactivityWarn == 0:
		out.InactivityWarn = -1 // stored as -1, since a stored 0 means half of the end
	case r.InactivityWarn == nil && end > 0 && out.InactivityWarn >= end:
		out.InactivityWarn = 0 // the default warning would come after the end
	}
	for _, d := range []*conversation.Millis{&out.ParkedEnd, &out.BotSilence} {
		if *d == 0 {
			*d = -1 // stored as -1, since a stored 0 means the default
		}
	}
	if r.Share != nil {
		out.Share = *r.Share
	}
	if r.Spare != nil {
		out.Spare = *r.Spare
	}
	if r.Medium != "" {
		out.Medium = r.Medium
	}
	if r.DispositionNeeded != nil {
		out.DispositionNeeded = *r.DispositionNeeded
	}
	if r.Priority != nil {
		out.Priority = *r.Priority
	}
	return out
}
