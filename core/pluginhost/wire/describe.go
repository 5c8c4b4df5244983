package wire

import (
	"fmt"
	"net/url"
	"slices"

	"github.com/parley-gateway/parley/core/conversation"
	"github.com/parley-gateway/parley/core/plugin"
	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Limits of what a plugin says of itself.
const (
	maxOrigins    = 32
	maxCalls      = 64
	maxPartLimits = 32
	maxMIMEs      = 64 // of one PartLimit
	maxMIME       = 128
)

// Minor returns the version of the contract on which host and plugin agree.
func Minor(d *pluginv1.DescribeResponse) uint32 { return min(contract.Minor, d.GetMinor()) }

// Info converts what a plugin says of itself. An error says what of it breaks the contract.
func Info(d *pluginv1.DescribeResponse) (plugin.Info, error) {
	info := plugin.Info{
		ID: d.GetId(), Name: d.GetName(), Version: d.GetVersion(),
		IdempotentSend: d.GetIdempotentSend(), CanLookup: d.GetCanLookup(),
		Channel: d.GetDelivery() != pluginv1.Delivery_DELIVERY_NONE, OneNode: d.GetSingleNode(),
	}
	if Minor(d) == 0 {
		for field, set := range map[string]bool{
			"delivery NONE": !info.Channel, "tool": d.GetTool() != nil, "bot": d.GetBot() != nil, "calls": d.GetCalls() != nil,
			"silence_ms": d.GetSilenceMs() != 0, "drain_ms": d.GetDrainMs() != 0,
		} {
			if set {
				return info, fmt.Errorf("%s needs minor 1, the plugin has 0", field)
			}
		}
	}
	var err error
	if info.Capabilities, err = capabilities(d.GetDelivery(), d.GetCapabilities()); err != nil {
		return info, err
	}
	if Minor(d) == 0 {
		return info, nil
	}
	info.MarkRead = slices.Contains(d.GetAbilities(), contract.AbilityMarkRead)
	info.Typing = slices.Contains(d.GetAbilities(), contract.AbilityTyping)
	info.Templates = slices.Contains(d.GetAbilities(), contract.AbilityTemplates)
	info.Bot = d.GetBot() != nil
	info.BotName = d.GetBot().GetName()
	if len(d.GetCalls().GetCommands()) > maxCalls {
		return info, fmt.Errorf("calls: more than %d commands", maxCalls)
	}
	info.Calls = slices.Clone(d.GetCalls().GetCommands())
	if err := within(maxField, append([]string{info.BotName}, info.Calls...)...); err != nil {
		return info, err
	}
	if d.GetTool() != nil {
		info.Tool, err = toolInfo(d.GetTool())
	}
	return info, err
}

func toolInfo(t *pluginv1.ToolInfo) (*plugin.ToolInfo, error) {
	out := &plugin.ToolInfo{
		Title: t.GetTitle(), Icon: t.GetIcon(), AgentStarts: t.GetAgentStarts(), CustomerStarts: t.GetCustomerStarts(),
		NeedsConsent: t.GetNeedsConsent(), NeedsPanels: t.GetNeedsPanels(), Single: t.GetSingle(),
		EmbedOrigins: slices.Clone(t.GetEmbedOrigins()),
	}
	if err := within(maxField, out.Title, out.Icon); err != nil {
		return nil, fmt.Errorf("tool: %w", err)
	}
	if len(out.EmbedOrigins) > maxOrigins {
		return nil, fmt.Errorf("tool: more than %d embed_origins", maxOrigins)
	}
	for i, origin := range out.EmbedOrigins {
		if !isOrigin(origin) {
			return nil, fmt.Errorf("tool: embed_origins %d: want https://host[:port]", i)
		}
	}
	return out, nil
}

// isOrigin reports whether s is an origin that a page may embed. It goes into a header of the
// desktop's pages as it stands. Vendors' sandboxes on the same machine have no certificates.
func isOrigin(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != s || !hostname.MatchString(u.Hostname()) {
		return false
	}
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1")
}

func capabilities(delivery pluginv1.Delivery, c *pluginv1.Capabilities) (conversation.Capabilities, error) {
	out := conversation.Capabilities{
		Text: c.GetText(), RichText: c.GetRichText(), Files: c.GetFiles(), Location: c.GetLocation(),
		Choices: c.GetChoices(), Template: c.GetTemplate(), Reaction: c.GetReaction(), Edit: c.GetEdit(),
		Revoke: c.GetRevoke(), Typing: c.GetTyping(), Read: c.GetRead(), Receipts: c.GetReceipts(),
		Links: c.GetLinks(), Page: c.GetPage(), Panels: c.GetPanels(), Calls: c.GetCalls(),
		OutboundFirst: c.GetOutboundFirst(), ReplyWindow: int(c.GetReplyWindowHours()),
		Counter: c.GetCounter(), MaxLength: int(c.GetMaxLength()), OfferTitle: c.GetOfferTitle(),
		Medium: c.GetMedium(), Icon: c.GetIcon(), AddressKind: c.GetAddressKind(),
		Connected: delivery == pluginv1.Delivery_DELIVERY_CONNECTED,
		Quotes:    c.GetQuotes(), Captions: c.GetCaptions(),
	}
	if len(c.GetPartLimits()) > maxPartLimits {
		return out, fmt.Errorf("capabilities: more than %d part_limits", maxPartLimits)
	}
	for _, l := range c.GetPartLimits() {
		limit := conversation.PartLimit{
			Kind: l.GetKind(), MaxLength: int(l.GetMaxLength()), MaxBytes: int64(min(l.GetMaxBytes(), 1<<62)),
			MaxCount: int(l.GetMaxCount()), MIMEs: slices.Clone(l.GetMimes()), MaxTitle: int(l.GetMaxTitle()),
		}
		if !name.MatchString(limit.Kind) || len(limit.MIMEs) > maxMIMEs || within(maxMIME, limit.MIMEs...) != nil {
			return out, fmt.Errorf("capabilities: part_limits: want a kind, and at most %d types of files of at most %d bytes", maxMIMEs, maxMIME)
		}
		out.PartLimits = append(out.PartLimits, limit)
	}
	return out, nil
}

// Traits converts what a plugin said of single accounts in answer to a Configure with the accounts in
// asked, as far as it differs from the plugin's description. An error says what of it breaks the
// contract.
func Traits(d *pluginv1.DescribeResponse, asked []*pluginv1.Account, list []*pluginv1.AccountTraits) (map[conversation.AccountID]plugin.AccountTraits, error) {
	if len(list) > 0 && Minor(d) == 0 {
		return nil, invalid("traits of accounts need minor 1, the plugin has 0")
	}
	out := map[conversation.AccountID]plugin.AccountTraits{}
	said := make(map[string]*pluginv1.AccountTraits, len(list))
	for _, t := range list {
		said[t.GetAccount()] = t
	}
	if len(said) < len(list) {
		return nil, invalid("traits of one account come twice")
	}
	for _, a := range asked {
		t := said[a.GetId()]
		delete(said, a.GetId())
		one := plugin.AccountTraits{OneNode: d.GetSingleNode()}
		switch t.GetPlacement() {
		case pluginv1.Placement_PLACEMENT_UNSPECIFIED:
		case pluginv1.Placement_PLACEMENT_ANY:
			one.OneNode = false
		case pluginv1.Placement_PLACEMENT_ONE:
			one.OneNode = true
		default:
			return nil, fmt.Errorf("account %s: unknown placement", a.GetId())
		}
		if c := t.GetCapabilities(); c != nil {
			caps, err := capabilities(d.GetDelivery(), c)
			if err != nil {
				return nil, fmt.Errorf("account %s: %w", a.GetId(), err)
			}
			one.Capabilities = &caps
		}
		if one.Capabilities == nil && one.OneNode == d.GetSingleNode() {
			continue
		}
		var id conversation.AccountID
		if err := ParseID(&id, a.GetId()); err != nil {
			return nil, err
		}
		out[id] = one
	}
	if len(said) > 0 {
		return nil, fmt.Errorf("traits of %d accounts that were not configured", len(said))
	}
	return out, nil
}
