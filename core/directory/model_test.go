package directory_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
)

// Whatever is put, in whichever order, the records in memory equal those in the database.
func TestMemoryIsTheFile(t *testing.T) {
	f := open(t)
	other := f.another(t, -1)
	reader := f.another(t, -1) // reader never writes, so everything it knows was read from the database
	rapid.Check(t, func(rt *rapid.T) {
		ctx := t.Context()
		name := rapid.SampledFrom([]string{"a", "B", "c", "d"})
		pick := func(ids []conversation.TeamID) []conversation.TeamID {
			if len(ids) == 0 {
				return nil
			}
			return rapid.SliceOfN(rapid.SampledFrom(ids), 0, 3).Draw(rt, "teams")
		}
		for range rapid.IntRange(1, 3).Draw(rt, "steps") {
			d := rapid.SampledFrom([]*directory.Directory{f.Directory, other}).Draw(rt, "process")
			if err := d.Refresh(ctx); err != nil {
				rt.Fatal(err)
			}
			s := d.Snapshot()
			var teams []conversation.TeamID
			for _, team := range s.Teams() {
				teams = append(teams, team.ID)
			}
			// A name that is taken, or an invalid record, is refused and must change nothing.
			switch rapid.IntRange(0, 3).Draw(rt, "kind") {
			case 0:
				old, _ := s.TeamByName(name.Draw(rt, "old"))
				_, _ = d.PutTeam(ctx, directory.Team{ID: old.ID, Name: name.Draw(rt, "name")})
			case 1:
				old, _ := s.UserByLogin(name.Draw(rt, "old"))
				_, _ = d.PutUser(ctx, directory.User{
					ID: old.ID, Login: name.Draw(rt, "login"), Name: "N", Role: directory.RoleAgent, Teams: pick(teams),
					Disabled: rapid.Bool().Draw(rt, "disabled"), Skills: rapid.SliceOfN(name, 0, 2).Draw(rt, "skills"),
				})
			case 2:
				_, _ = d.PutSkill(ctx, directory.Skill{Name: name.Draw(rt, "skill")})
			case 3:
				old, _ := s.ServiceByName(name.Draw(rt, "old"))
				_, _ = d.PutService(ctx, directory.Service{ID: old.ID, Name: name.Draw(rt, "name"), Teams: pick(teams)})
			}
			if err := f.Refresh(ctx); err != nil {
				rt.Fatal(err)
			}
			if err := reader.Refresh(ctx); err != nil {
				rt.Fatal(err)
			}
			if diff := cmp.Diff(describe(reader.Snapshot()), describe(f.Snapshot())); diff != "" {
				rt.Errorf("file (-) and memory (+) differ:\n%s", diff)
			}
		}
	})
}

// describe returns everything that a snapshot can be asked.
func describe(s *directory.Snapshot) map[string]any {
	out := map[string]any{"version": s.Version(), "users": s.Users(), "teams": s.Teams(), "skills": s.Skills(), "services": s.Services()}
	for _, u := range s.Users() {
		found, _ := s.UserByLogin(u.Login)
		byID, _ := s.User(u.ID)
		out["user "+u.Login] = fmt.Sprint(found.ID == u.ID, byID.Login == u.Login, s.ServicesOf(u.ID))
	}
	for _, v := range s.Services() {
		found, _ := s.ServiceByName(v.Name)
		out["service "+v.Name] = fmt.Sprint(found.ID == v.ID, s.Serving(v.ID))
	}
	return out
}
