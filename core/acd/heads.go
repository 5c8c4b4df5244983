package acd

import "github.com/parley-gateway/parley/core/conversation"

// Type implements conversation.Head.
func (*LoggedIn) Type() conversation.Type { return TypeLoggedIn }

// Audience implements conversation.Head.
func (*LoggedIn) Audience() conversation.Audience { return conversation.AudienceAgent }

// Type implements conversation.Head.
func (*LoggedOut) Type() conversation.Type { return TypeLoggedOut }

// Audience implements conversation.Head.
func (*LoggedOut) Audience() conversation.Audience { return conversation.AudienceAgent }

// Type implements conversation.Head.
func (*Ready) Type() conversation.Type { return TypeReady }

// Audience implements conversation.Head.
func (*Ready) Audience() conversation.Audience { return conversation.AudienceAgent }

// Type implements conversation.Head.
func (*NotReady) Type() conversation.Type { return TypeNotReady }

// Audience implements conversation.Head.
func (*NotReady) Audience() conversation.Audience { return conversation.AudienceAgent }

// Type implements conversation.Head.
func (*PendingNotReady) Type() conversation.Type { return TypePendingNotReady }

// Audience implements conversation.Head.
func (*PendingNotReady) Audience() conversation.Audience { return conversation.AudienceAgent }

// Type implements conversation.Head.
func (*PendingCleared) Type() conversation.Type { return TypePendingCleared }

// Audience implements conversation.Head.
func (*PendingCleared) Audience() conversation.Audience { return conversation.AudienceAgent }

// Type implements conversation.Head.
func (*Offered) Type() conversation.Type { return TypeOffered }

// Audience implements conversation.Head.
func (*Offered) Audience() conversation.Audience { return conversation.AudienceAgent }

// Type implements conversation.Head.
func (*OfferEnded) Type() conversation.Type { return TypeOfferEnded }

// Audience implements conversation.Head.
func (*OfferEnded) Audience() conversation.Audience { return conversation.AudienceAgent }

// Type implements conversation.Head.
func (*Engaged) Type() conversation.Type { return TypeEngaged }

// Audience implements conversation.Head.
func (*Engaged) Audience() conversation.Audience { return conversation.AudienceAgent }

// Type implements conversation.Head.
func (*WrapupStarted) Type() conversation.Type { return TypeWrapupStarted }

// Audience implements conversation.Head.
func (*WrapupStarted) Audience() conversation.Audience { return conversation.AudienceAgent }

// Type implements conversation.Head.
func (*Released) Type() conversation.Type { return TypeReleased }

// Audience implements conversation.Head.
func (*Released) Audience() conversation.Audience { return conversation.AudienceAgent }

// Type implements conversation.Head.
func (*Disconnected) Type() conversation.Type { return TypeDisconnected }

// Audience implements conversation.Head.
func (*Disconnected) Audience() conversation.Audience { return conversation.AudienceAgent }

// Type implements conversation.Head.
func (*Connected) Type() conversation.Type { return TypeConnected }

// Audience implements conversation.Head.
func (*Connected) Audience() conversation.Audience { return conversation.AudienceAgent }

// Type implements conversation.Head.
func (*LeftNode) Type() conversation.Type { return TypeLeftNode }

// Audience implements conversation.Head.
func (*LeftNode) Audience() conversation.Audience { return conversation.AudienceAgent }

// Type implements conversation.Head.
func (*SupervisionStarted) Type() conversation.Type { return TypeSupervisionStarted }

// Audience implements conversation.Head.
func (*SupervisionStarted) Audience() conversation.Audience { return conversation.AudienceAgent }

// Type implements conversation.Head.
func (*SupervisionEnded) Type() conversation.Type { return TypeSupervisionEnded }

// Audience implements conversation.Head.
func (*SupervisionEnded) Audience() conversation.Audience { return conversation.AudienceAgent }
