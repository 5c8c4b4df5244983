package pluginhost

import "github.com/parley-gateway/parley/core/conversation"

// HookLimits say what a webhook may look like, so that the gateway can refuse others without
// reading them.
type HookLimits struct {
	Methods []string // empty: the plugin has not been described yet, or it accepts no webhooks
	MaxBody int64    // bytes
}

// HookLimits returns the limits that the plugin of account declared; false if no plugin serves the
// account.
func (h *Host) HookLimits(account conversation.AccountID) (HookLimits, bool) {
	p := h.pluginOf(account)
	if p == nil {
		return HookLimits{}, false
	}
	d := p.described()
	if d.GetHook() == nil {
		return HookLimits{MaxBody: defaultHookBody}, true
	}
	return HookLimits{Methods: hookMethods(d.GetHook()), MaxBody: int64(hookBodyLimit(d.GetHook()))}, true
}
