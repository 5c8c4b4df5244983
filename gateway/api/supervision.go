package api

import (
	"context"
	"net/http"

	"github.com/parley-gateway/parley/core/audit"
	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/directory"
	"github.com/parley-gateway/parley/gateway/auth"
)

type superviseInput struct {
	ID   string `path:"id" format:"uuid"`
	Body struct {
		Mode conversation.Mode `json:"mode" enum:"monitor,coach,barge" doc:"monitor: unseen by agents and customers; coach: agents see it; barge: everybody does"`
	}
}

type supervisionOutput struct {
	Body struct {
		Seq uint64 `json:"seq" doc:"Sequence of the event about it; 0 if it was so already"`
	}
}

type noteInput struct {
	ID   string `path:"id" format:"uuid"`
	Body struct {
		ClientID string              `json:"client_id" minLength:"1" maxLength:"64" doc:"A retry under the same id is the same note"`
		Parts    []conversation.Part `json:"parts" minItems:"1" maxItems:"10" doc:"Text and files"`
	}
}

// supervisionRoutes serve what supervisors do in conversations (H2-H4), and what agents and supervisors say among
// themselves. Everybody may end their own supervision, also who is no supervisor any more.
func (a *API) supervisionRoutes() {
	const tag, at = "supervision", "/conversations/{id}/supervision"
	agent, supervisor := directory.RoleAgent, directory.RoleSupervisor
	register(a, op("supervise", http.MethodPut, at, tag, "Take part as a supervisor, or go on in another mode. It ends when the supervisor's last socket is lost, so it needs one", supervisor), supervisor,
		func(ctx context.Context, id auth.Identity, in *superviseInput) (*supervisionOutput, error) {
			return a.supervise(ctx, id, in.ID, in.Body.Mode)
		})
	register(a, op("unsupervise", http.MethodDelete, at, tag, "Supervise no more", agent), agent,
		func(ctx context.Context, id auth.Identity, in *oneInput) (*supervisionOutput, error) {
			return a.supervise(ctx, id, in.ID, "")
		})
	o := op("add-note", http.MethodPost, "/conversations/{id}/notes", tag, "Write a note, which agents and supervisors see and the customer does not; 202 means that it is durable", agent)
	o.DefaultStatus, o.MaxBodyBytes = http.StatusAccepted, 256<<10
	register(a, o, agent, a.addNote)
}

func (a *API) supervise(ctx context.Context, id auth.Identity, conv string, mode conversation.Mode) (*supervisionOutput, error) {
	seq, err := Supervise(ctx, a.opts.Router, a.opts.Directory.Trail(), id, conversation.ConversationID(stream(conv)), mode)
	if err != nil {
		return nil, err
	}
	out := &supervisionOutput{}
	out.Body.Seq = seq
	return out, nil
}

func (a *API) addNote(ctx context.Context, id auth.Identity, in *noteInput) (*sendOutput, error) {
	sent, err := AddNote(ctx, a.opts.Router, id, conversation.ConversationID(stream(in.ID)), in.Body.ClientID, in.Body.Parts)
	if err != nil {
		return nil, err
	}
	out := &sendOutput{}
	out.Body.Message, out.Body.Seq = sent.Message, sent.Seq
	return out, nil
}

// Supervise changes how a user supervises a conversation, for the socket and for REST alike; mode "" ends it. What
// supervisors ask for is in the audit trail before it happens, so that it never happens without (H4).
func Supervise(ctx context.Context, r Router, trail Trail, id auth.Identity, conv conversation.ConversationID, mode conversation.Mode) (uint64, error) {
	supervisor := id.Role.Includes(directory.RoleSupervisor)
	switch {
	case !supervisor && mode != "":
		return 0, NewFault("denied")
	case conv.IsZero():
		return 0, NewFault("not_found")
	}
	if supervisor {
		if err := auditSupervision(ctx, r, trail, id, conv, mode); err != nil {
			return 0, err
		}
	}
	return r.Supervise(ctx, id.User, conv, mode)
}

// auditSupervision writes a line about a change of a supervisor's mode. What the rules refuse, and what is so
// already, is no line.
func auditSupervision(ctx context.Context, r Router, trail Trail, id auth.Identity, conv conversation.ConversationID, mode conversation.Mode) error {
	info, err := r.Info(ctx, conv)
	if err != nil {
		return err
	}
	agent, err := r.Agent(ctx, id.User)
	if err != nil {
		return err
	}
	st := &info.State
	may := mode == "" || st.Parking == nil && !st.JoinedAgent(id.User) && (!agent.Away() || st.ModeOf(id.User) != "")
	if st.Phase != conversation.PhaseOpen || st.ModeOf(id.User) == mode || !may {
		return nil
	}
	e := audit.Entry{Action: audit.Supervised, Object: "conversation", ObjectID: conv.String(), Reason: string(mode)}
	if mode == "" {
		e.Reason = "left"
	}
	if _, rest := auth.FromContext(ctx); !rest { // a REST request's actor is already in its context
		e.Actor = audit.Actor{User: id.User, Via: "api"}
	}
	return trail.Append(ctx, e)
}
