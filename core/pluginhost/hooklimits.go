package pluginhost

import "github.com/parley-gateway/parley/core/conversation"

// HookLimits tell what a webhook may look like, so that the gateway can refuse
// others before it reads them.
type HookLimits struct {
	Methods []string // empty: not known, the plugin has not been described yet, or it takes none
	MaxBody int64    // bytes
}

// HookLimits gives the limits that the plugin of account declared; false when
// no plugin serves the account.
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
