package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/core/pluginhost"
	"github.com/parley-gateway/parley/gateway/auth"
)

// DoctorCheck is the result of one check of GET /doctor.
type DoctorCheck struct {
	Name   string `json:"name"`
	Status string `json:"status" enum:"ok,warn,fail"`
	Detail string `json:"detail,omitempty"`
	Fix    string `json:"fix,omitempty" doc:"What to do about it"`
}

func (a *API) doctorRoutes() {
	register(a, op("doctor", http.MethodGet, "/doctor", "doctor", "Check the installation", directory.RoleAdmin), directory.RoleAdmin,
		func(ctx context.Context, _ auth.Identity, _ *struct{}) (*listOfOutput[DoctorCheck], error) {
			out := &listOfOutput[DoctorCheck]{}
			out.Body.Items = append(a.pluginChecks(), a.auditCheck(ctx), a.peopleCheck())
			if a.opts.Doctor != nil {
				out.Body.Items = append(out.Body.Items, a.opts.Doctor(ctx)...)
			}
			return out, nil
		})
}

func (a *API) pluginChecks() []DoctorCheck {
	var out []DoctorCheck
	for _, s := range a.opts.Host.Plugins() {
		c := DoctorCheck{Name: "plugin " + s.ID, Status: "ok", Detail: string(s.State)}
		if s.State != pluginhost.StateReady {
			c.Status, c.Detail = "fail", fmt.Sprintf("%s: %s", s.State, s.Reason)
			if s.State == pluginhost.StateDegraded {
				c.Status = "warn"
			}
			c.Fix = "look for the plugin's name in the log; it starts again by itself"
		}
		out = append(out, c)
		for _, acc := range s.Accounts {
			if acc.OK {
				continue
			}
			name := acc.ID.String()
			if rec, ok := a.opts.Directory.Snapshot().Account(acc.ID); ok {
				name = rec.Name
			}
			out = append(out, DoctorCheck{Name: "account " + name, Status: "fail", Detail: acc.Code + " " + acc.Text, Fix: "check the account's settings and secrets"})
		}
	}
	return out
}

func (a *API) auditCheck(ctx context.Context) DoctorCheck {
	head, err := a.opts.Directory.Trail().Verify(ctx)
	if err != nil {
		return DoctorCheck{Name: "audit trail", Status: "fail", Detail: err.Error(), Fix: "somebody changed it, or the disk did: compare with a backup"}
	}
	return DoctorCheck{Name: "audit trail", Status: "ok", Detail: fmt.Sprintf("%d entries, all in place", head.Seq)}
}

// peopleCheck warns of a service that no team or user serves.
func (a *API) peopleCheck() DoctorCheck {
	records := a.opts.Directory.Snapshot()
	for _, s := range records.Services() {
		if len(records.Serving(s.ID)) == 0 {
			return DoctorCheck{Name: "services", Status: "warn", Detail: "nobody serves " + s.Name, Fix: "give it teams or users who have its skills"}
		}
	}
	return DoctorCheck{Name: "services", Status: "ok", Detail: fmt.Sprintf("%d, all served by somebody", len(records.Services()))}
}
