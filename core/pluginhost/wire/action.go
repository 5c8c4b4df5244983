package wire

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

func (p *Plugin) toCustomerAction(a *pluginv1.CustomerAction) (*plugin.CustomerAction, error) {
	switch k := a.GetAction().(type) {
	case *pluginv1.CustomerAction_Start:
		start, err := p.toStart(k.Start)
		return &plugin.CustomerAction{Start: start}, err
	case *pluginv1.CustomerAction_Page:
		return &plugin.CustomerAction{Page: toPage(k.Page)}, nil
	case *pluginv1.CustomerAction_End:
		return &plugin.CustomerAction{End: true}, nil
	case *pluginv1.CustomerAction_Left:
		return &plugin.CustomerAction{Left: true}, nil
	case *pluginv1.CustomerAction_Attributes:
		return &plugin.CustomerAction{Attributes: toAttributes(k.Attributes.GetAttributes())}, nil
	case *pluginv1.CustomerAction_OptOut:
		return &plugin.CustomerAction{OptOut: &plugin.OptOut{Out: k.OptOut.GetOut(), Keyword: k.OptOut.GetKeyword()}}, nil
	}
	if p.Minor == 0 {
		return nil, ErrUnsupported
	}
	out := &plugin.CustomerAction{}
	var err error
	switch k := a.GetAction().(type) {
	case *pluginv1.CustomerAction_Tool:
		out.Tool, err = toCustomerTool(k.Tool)
	case *pluginv1.CustomerAction_Call:
		out.Call, err = toCustomerCall(k.Call)
	case *pluginv1.CustomerAction_Satisfaction:
		out.Satisfaction, err = toSatisfaction(k.Satisfaction)
	case *pluginv1.CustomerAction_Form:
		out.Form, err = toFormAnswer(k.Form)
	default:
		err = ErrUnsupported
	}
	return out, err
}

// actionStart is the action of a customer who asks for a tool or a call.
const actionStart = "start"

func toCustomerTool(t *pluginv1.CustomerTool) (out *plugin.CustomerTool, err error) {
	out = &plugin.CustomerTool{Action: t.GetAction(), Revision: t.GetRevision()}
	if out.Action == "" || len(out.Action) > maxActionName {
		return nil, invalid("tool: name of the action")
	}
	if out.Action == actionStart {
		if t.GetSession() != "" {
			return nil, invalid("tool: start of a session that is there")
		}
		err = ParseID(&out.Account, t.GetAccount())
	} else {
		err = ParseID(&out.Session, t.GetSession())
	}
	if err != nil {
		return nil, fmt.Errorf("tool: %w", err)
	}
	if out.Values, err = toObject(t.GetValues()); err != nil {
		return nil, fmt.Errorf("tool: values: %w", err)
	}
	return out, nil
}

func toCustomerCall(c *pluginv1.CustomerCall) (*plugin.CustomerCall, error) {
	out := &plugin.CustomerCall{Action: c.GetAction()}
	switch out.Action {
	case actionStart:
		if c.GetSession() != "" {
			return nil, invalid("call: start of a session that is there")
		}
		return out, nil
	case "answer", "decline", "end", "mute", "unmute", "video_on", "video_off":
	default:
		return nil, ErrUnsupported
	}
	if err := ParseID(&out.Session, c.GetSession()); err != nil {
		return nil, fmt.Errorf("call: %w", err)
	}
	return out, nil
}

func toSatisfaction(s *pluginv1.Satisfaction) (*plugin.Satisfaction, error) {
	out := &plugin.Satisfaction{Score: int(s.GetScore()), Comment: s.GetComment()}
	if err := out.Conversation.UnmarshalText([]byte(s.GetConversation())); err != nil {
		return nil, fmt.Errorf("satisfaction: %w", err)
	}
	return out, within(maxComment, out.Comment)
}

func toFormAnswer(f *pluginv1.FormAnswer) (*plugin.FormAnswer, error) {
	out := &plugin.FormAnswer{Sealed: f.GetSealed(), Cancelled: f.GetCancelled()}
	if err := ParseID(&out.Session, f.GetSession()); err != nil {
		return nil, fmt.Errorf("form: %w", err)
	}
	if len(out.Sealed) > maxSealed {
		return nil, fmt.Errorf("form: answer of %d bytes, at most %d: %w", len(out.Sealed), maxSealed, ErrTooLarge)
	}
	if out.Cancelled != (len(out.Sealed) == 0) {
		return nil, invalid("form: want either an answer or cancelled")
	}
	return out, nil
}

func (p *Plugin) toStart(s *pluginv1.Start) (*plugin.StartAction, error) {
	parts, err := ToParts(p.Minor, s.GetParts())
	if err != nil {
		return nil, err
	}
	body := conversation.StartedBody{
		Address: s.GetFrom().GetAddress(), Name: s.GetFrom().GetName(),
		FirstName: s.GetFirstName(), LastName: s.GetLastName(), Email: s.GetEmail(), Phone: s.GetPhone(),
		Locale: s.GetLocale(), Subject: s.GetSubject(),
	}
	if s.GetPage() != nil {
		body.Page = toPage(s.GetPage())
	}
	if len(s.GetAttributes()) > 0 {
		body.Attributes = toAttributes(s.GetAttributes())
	}
	return &plugin.StartAction{Body: body, ClientID: s.GetClientId(), Parts: parts}, nil
}

func toPage(p *pluginv1.Page) *conversation.PageBody {
	return &conversation.PageBody{URL: p.GetUrl(), Title: p.GetTitle()}
}

func toAttributes(list []*pluginv1.Attribute) map[string]string {
	out := make(map[string]string, len(list))
	for _, a := range list {
		out[a.GetName()] = a.GetValue()
	}
	return out
}

// checkedAttributes converts attributes that the core does not check; nil for none.
func checkedAttributes(list []*pluginv1.Attribute) (map[string]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	if len(list) > maxAttributes {
		return nil, fmt.Errorf("more than %d attributes: %w", maxAttributes, ErrTooLarge)
	}
	for _, a := range list {
		if a.GetName() == "" {
			return nil, invalid("attribute without a name")
		}
		if err := errors.Join(within(maxAttribute, a.GetName()), within(maxField, a.GetValue())); err != nil {
			return nil, err
		}
	}
	return toAttributes(list), nil
}

func fromAttributes(m map[string]string) []*pluginv1.Attribute {
	out := make([]*pluginv1.Attribute, 0, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, &pluginv1.Attribute{Name: name, Value: m[name]})
	}
	return out
}
