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

// Status reads an account's status.
func (Wire) Status(s *pluginv1.AccountStatus) AccountStatus { return statusFromWire(s) }
