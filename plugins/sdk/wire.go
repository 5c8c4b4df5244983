package sdk

import (
	pluginv1 "github.com/parley-gateway/parley/plugins/contract/parley/plugin/v1"
)

// Wire translates between the SDK's structs and the messages of the contract, for code that plays
// the gateway's part, such as sdktest. Plugins do not need it.
type Wire struct{}

// Manifest decodes the answer to Describe.
func (Wire) Manifest(d *pluginv1.DescribeResponse) Manifest { return manifestFromWire(d) }

// Configure makes a Configure request; the caller adds sockets and keys.
func (Wire) Configure(c *Config) *pluginv1.ConfigureRequest { return configToWire(c) }

// Problems decodes the answer to Configure.
func (Wire) Problems(ps []*pluginv1.ConfigProblem) Problems { return problemsFromWire(ps) }

// Event reads an event that a plugin emitted.
func (Wire) Event(ev *pluginv1.Event) (Event, error) { return eventFromWire(ev) }

// Emitted makes the wire message of an event, as Host.Emit does. It fails with ErrNotUTF8.
func (Wire) Emitted(ev *Event) (*pluginv1.Event, error) { return eventToWire(ev) }

// Send makes a send command.
func (Wire) Send(c *SendCommand) (*pluginv1.Command, error) { return sendToWire(c) }

// Process makes a process command.
func (Wire) Process(c *ProcessCommand) *pluginv1.Command { return processToWire(c) }

// Lookup makes a lookup command.
func (Wire) Lookup(c *LookupCommand) *pluginv1.Command { return lookupToWire(c) }

// Result reads the outcome of a command.
func (Wire) Result(r *pluginv1.Result) Result { return resultFromWire(r) }

// Hook makes a webhook.
func (Wire) Hook(r *HookRequest) *pluginv1.Hook { return hookToWire(r) }

// HookResponse reads a webhook's answer.
func (Wire) HookResponse(r *pluginv1.HookResult) (HookResponse, error) { return hookResultFromWire(r) }

// Record makes a record for a subscription.
func (Wire) Record(r *Record) *pluginv1.Record { return recordToWire(r) }

// SignalToPlugin makes a signal for the plugin.
func (Wire) SignalToPlugin(s *Signal) *pluginv1.Signal { return signalToWire(s) }

// SignalFromPlugin reads a signal that a plugin sent.
func (Wire) SignalFromPlugin(s *pluginv1.Signal) Signal { return signalFromWire(s) }

// Traits reads what differs between accounts from the answer to Configure.
func (Wire) Traits(list []*pluginv1.AccountTraits) []AccountTraits { return traitsFromWire(list) }

// MarkRead makes a mark_read command.
func (Wire) MarkRead(c *MarkReadCommand) *pluginv1.Command { return markReadToWire(c) }

// Typing makes a typing command.
func (Wire) Typing(c *TypingCommand) *pluginv1.Command { return typingToWire(c) }

// Call makes a call command.
func (Wire) Call(c *CallCommand) (*pluginv1.Command, error) { return callToWire(c) }

// Templates reads an account's templates.
func (Wire) Templates(l *pluginv1.TemplateList) (AccountID, []TemplateInfo) {
	return templatesFromWire(l)
}

// ToolStart makes the request of ToolService.Start.
func (Wire) ToolStart(r *ToolStart) *pluginv1.ToolStartRequest { return toolStartToWire(r) }

// ToolEnd makes the request of ToolService.End.
func (Wire) ToolEnd(r *ToolEnd) *pluginv1.ToolEndRequest { return toolEndToWire(r) }

// ToolAct makes the request of ToolService.Act.
func (Wire) ToolAct(r *ToolAct) *pluginv1.ToolActRequest { return toolActToWire(r) }

// Party makes a party.
func (Wire) Party(p Party) *pluginv1.Party { return partyToWire(p) }

// ToolSession reads a session of a tool. It fails for a panel that cannot be read.
func (Wire) ToolSession(s *pluginv1.ToolSession) (ToolSession, error) { return toolSessionFromWire(s) }

// Panel reads a panel; nil where there is none.
func (Wire) Panel(p *pluginv1.Panel) (*Panel, error) { return panelFromWire(p) }

// ToolAnswer reads the answer to an act, without its fault.
func (Wire) ToolAnswer(r *pluginv1.ToolActResponse) (ToolAnswer, error) { return toolAnswerFromWire(r) }

// Fault reads why a tool did nothing.
func (Wire) Fault(f *pluginv1.ToolFault) *ToolFault { return faultFromWire(f) }

// ToolNotice makes a notice for a tool.
func (Wire) ToolNotice(n *ToolNotice) *pluginv1.ToolNotice { return toolNoticeToWire(n) }

// BotNotice makes a notice for a bot.
func (Wire) BotNotice(n *BotNotice) *pluginv1.BotNotice { return botNoticeToWire(n) }

// Status reads an account's status.
func (Wire) Status(s *pluginv1.AccountStatus) AccountStatus { return statusFromWire(s) }
