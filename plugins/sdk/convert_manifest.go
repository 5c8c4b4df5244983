package sdk

import (
	"slices"

	"github.com/parley-gateway/parley/plugins/contract"
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// This file converts what Describe and Configure say of a plugin and its accounts, in both
// directions.

func manifestToWire(m *Manifest) *pluginv1.DescribeResponse {
	out := &pluginv1.DescribeResponse{
		Id:             m.ID,
		Name:           m.Name,
		Version:        m.Version,
		SettingsSchema: m.SettingsSchema,
		AccountSchema:  m.AccountSchema,
		Delivery:       pluginv1.Delivery(m.Delivery),
		Capabilities:   capabilitiesToWire(&m.Capabilities),
		IdempotentSend: m.IdempotentSend,
		CanLookup:      m.CanLookup,
		Exclusive:      m.Exclusive,
		SingleNode:     m.SingleNode,
		EgressHosts:    m.EgressHosts,
	}
	for _, r := range m.Routes {
		out.Routes = append(out.Routes, &pluginv1.Route{
			Path: r.Path, Access: pluginv1.Access(r.Access), Upgrade: r.Upgrade, MaxBody: r.MaxBody,
		})
	}
	if m.Hook != nil {
		out.Hook = &pluginv1.HookInfo{
			BudgetMs: millis(m.Hook.Budget), Methods: m.Hook.Methods, MaxBody: m.Hook.MaxBody,
		}
	}
	out.SilenceMs, out.DrainMs = millis(m.Silence), millis(m.Drain)
	if t := m.Tool; t != nil {
		out.Tool = &pluginv1.ToolInfo{
			Title: t.Title, Icon: t.Icon, AgentStarts: t.AgentStarts, CustomerStarts: t.CustomerStarts,
			NeedsConsent: t.NeedsConsent, NeedsPanels: t.NeedsPanels, EmbedOrigins: t.EmbedOrigins, Single: t.Single,
		}
	}
	if m.Bot != nil {
		out.Bot = &pluginv1.BotInfo{Name: m.Bot.Name}
	}
	if m.Calls != nil {
		out.Calls = &pluginv1.CallInfo{Commands: m.Calls.Commands, Video: m.Calls.Video}
	}
	return out
}

func manifestFromWire(d *pluginv1.DescribeResponse) Manifest {
	m := Manifest{
		ID:             d.GetId(),
		Name:           d.GetName(),
		Version:        d.GetVersion(),
		SettingsSchema: d.GetSettingsSchema(),
		AccountSchema:  d.GetAccountSchema(),
		Delivery:       Delivery(d.GetDelivery()),
		Capabilities:   capabilitiesFromWire(d.GetCapabilities()),
		IdempotentSend: d.GetIdempotentSend(),
		CanLookup:      d.GetCanLookup(),
		Exclusive:      d.GetExclusive(),
		SingleNode:     d.GetSingleNode(),
		EgressHosts:    d.GetEgressHosts(),
	}
	for _, r := range d.GetRoutes() {
		m.Routes = append(m.Routes, Route{
			Path: r.GetPath(), Access: Access(r.GetAccess()), Upgrade: r.GetUpgrade(), MaxBody: r.GetMaxBody(),
		})
	}
	if h := d.GetHook(); h != nil {
		m.Hook = &HookInfo{Budget: durationOf(h.GetBudgetMs()), Methods: h.GetMethods(), MaxBody: h.GetMaxBody()}
	}
	m.Silence, m.Drain = durationOf(d.GetSilenceMs()), durationOf(d.GetDrainMs())
	m.Templates = slices.Contains(d.GetAbilities(), contract.AbilityTemplates)
	if t := d.GetTool(); t != nil {
		m.Tool = &ToolInfo{
			Title: t.GetTitle(), Icon: t.GetIcon(), AgentStarts: t.GetAgentStarts(), CustomerStarts: t.GetCustomerStarts(),
			NeedsConsent: t.GetNeedsConsent(), NeedsPanels: t.GetNeedsPanels(), EmbedOrigins: t.GetEmbedOrigins(), Single: t.GetSingle(),
		}
	}
	if b := d.GetBot(); b != nil {
		m.Bot = &BotInfo{Name: b.GetName()}
	}
	if c := d.GetCalls(); c != nil {
		m.Calls = &CallInfo{Commands: c.GetCommands(), Video: c.GetVideo()}
	}
	return m
}

func capabilitiesToWire(c *Capabilities) *pluginv1.Capabilities {
	out := &pluginv1.Capabilities{
		Text:             c.Text,
		RichText:         c.RichText,
		Files:            c.Files,
		Location:         c.Location,
		Choices:          c.Choices,
		Template:         c.Template,
		Reaction:         c.Reaction,
		Edit:             c.Edit,
		Revoke:           c.Revoke,
		Typing:           c.Typing,
		Read:             c.Read,
		Receipts:         c.Receipts,
		Links:            c.Links,
		Page:             c.Page,
		Panels:           c.Panels,
		Calls:            c.Calls,
		OutboundFirst:    c.OutboundFirst,
		ReplyWindowHours: c.ReplyWindowHours,
		Counter:          c.Counter,
		MaxLength:        c.MaxLength,
		OfferTitle:       c.OfferTitle,
		Medium:           c.Medium,
		Icon:             c.Icon,
		AddressKind:      c.AddressKind,
		Quotes:           c.Quotes,
		Captions:         c.Captions,
	}
	for _, l := range c.PartLimits {
		out.PartLimits = append(out.PartLimits, &pluginv1.PartLimit{
			Kind: l.Kind, MaxLength: l.MaxLength, MaxBytes: l.MaxBytes, MaxCount: l.MaxCount, Mimes: l.MIMEs, MaxTitle: l.MaxTitle,
		})
	}
	return out
}

func capabilitiesFromWire(c *pluginv1.Capabilities) Capabilities {
	out := Capabilities{
		Text:             c.GetText(),
		RichText:         c.GetRichText(),
		Files:            c.GetFiles(),
		Location:         c.GetLocation(),
		Choices:          c.GetChoices(),
		Template:         c.GetTemplate(),
		Reaction:         c.GetReaction(),
		Edit:             c.GetEdit(),
		Revoke:           c.GetRevoke(),
		Typing:           c.GetTyping(),
		Read:             c.GetRead(),
		Receipts:         c.GetReceipts(),
		Links:            c.GetLinks(),
		Page:             c.GetPage(),
		Panels:           c.GetPanels(),
		Calls:            c.GetCalls(),
		OutboundFirst:    c.GetOutboundFirst(),
		ReplyWindowHours: c.GetReplyWindowHours(),
		Counter:          c.GetCounter(),
		MaxLength:        c.GetMaxLength(),
		OfferTitle:       c.GetOfferTitle(),
		Medium:           c.GetMedium(),
		Icon:             c.GetIcon(),
		AddressKind:      c.GetAddressKind(),
		Quotes:           c.GetQuotes(),
		Captions:         c.GetCaptions(),
	}
	for _, l := range c.GetPartLimits() {
		out.PartLimits = append(out.PartLimits, PartLimit{
			Kind: l.GetKind(), MaxLength: l.GetMaxLength(), MaxBytes: l.GetMaxBytes(), MaxCount: l.GetMaxCount(),
			MIMEs: l.GetMimes(), MaxTitle: l.GetMaxTitle(),
		})
	}
	return out
}

func traitsToWire(list []AccountTraits) []*pluginv1.AccountTraits {
	var out []*pluginv1.AccountTraits
	for _, t := range list {
		w := &pluginv1.AccountTraits{
			Account: string(t.Account), HookBudgetMs: millis(t.HookBudget), Placement: pluginv1.Placement(t.Placement),
		}
		if t.Capabilities != nil {
			w.Capabilities = capabilitiesToWire(t.Capabilities)
		}
		out = append(out, w)
	}
	return out
}

func traitsFromWire(list []*pluginv1.AccountTraits) []AccountTraits {
	var out []AccountTraits
	for _, w := range list {
		t := AccountTraits{
			Account: AccountID(w.GetAccount()), HookBudget: durationOf(w.GetHookBudgetMs()), Placement: Placement(w.GetPlacement()),
		}
		if w.GetCapabilities() != nil {
			c := capabilitiesFromWire(w.GetCapabilities())
			t.Capabilities = &c
		}
		out = append(out, t)
	}
	return out
}
