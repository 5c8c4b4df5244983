package conversation

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrUnknownType stops a fold: an event of a type that this build does not
// know and that is not flagged ignorable.
var ErrUnknownType = errors.New("conversation: unknown event type")

// DecodeHead reads the stored head of an event of type t. A head always comes
// back as a pointer: an *Ignored for an unknown type that says it is ignorable,
// else ErrUnknownType.
func DecodeHead(t Type, head []byte) (Head, error) {
	h := newHead(t)
	if h == nil {
		return UnknownHead(t, head)
	}
	if err := json.Unmarshal(head, h); err != nil {
		return nil, fmt.Errorf("decode head of %s: %w", t, err)
	}
	return h, nil
}

func newHead(t Type) Head {
	switch t {
	case TypeStarted:
		return &Started{}
	case TypeAssigned:
		return &Assigned{}
	case TypeEndpointAdded:
		return &EndpointAdded{}
	case TypeCustomerUpdated:
		return &CustomerUpdated{}
	case TypeContactLinked:
		return &ContactLinked{}
	case TypePageVisited:
		return &PageVisited{}
	case TypeMessage:
		return &MessagePosted{}
	case TypeMessageStatus:
		return &MessageStatus{}
	case TypeReceipt:
		return &Receipt{}
	case TypeRoutingRequested:
		return &RoutingRequested{}
	case TypeRoutingOffered:
		return &RoutingOffered{}
	case TypeRoutingDeclined:
		return &RoutingDeclined{}
	case TypeRoutingCancelled:
		return &RoutingCancelled{}
	case TypeParticipantJoined:
		return &ParticipantJoined{}
	case TypeParticipantLeft:
		return &ParticipantLeft{}
	case TypeJoinedBy:
		return &JoinedBy{}
	case TypeWrapupStarted:
		return &WrapupStarted{}
	case TypeWrapupEnded:
		return &WrapupEnded{}
	case TypeInactivityWarned:
		return &InactivityWarned{}
	case TypeInactivityOff:
		return &InactivityCancelled{}
	case TypeParked:
		return &Parked{}
	case TypeUnparked:
		return &Unparked{}
	case TypeFlagSet:
		return &FlagSet{}
	case TypeFlagCleared:
		return &FlagCleared{}
	case TypeEnded:
		return &Ended{}
	case TypeConcluded:
		return &Concluded{}
	case TypeConsentChanged:
		return &ConsentChanged{}
	case TypeMessageSettled:
		return &MessageSettled{}
	default:
		return nil
	}
}

// Types lists every released type of a conversation's stream.
func Types() []Type {
	return []Type{
		TypeStarted,
		TypeAssigned,
		TypeEndpointAdded,
		TypeCustomerUpdated,
		TypeContactLinked,
		TypePageVisited,
		TypeMessage,
		TypeMessageStatus,
		TypeReceipt,
		TypeRoutingRequested,
		TypeRoutingOffered,
		TypeRoutingDeclined,
		TypeRoutingCancelled,
		TypeParticipantJoined,
		TypeParticipantLeft,
		TypeJoinedBy,
		TypeWrapupStarted,
		TypeWrapupEnded,
		TypeInactivityWarned,
		TypeInactivityOff,
		TypeParked,
		TypeUnparked,
		TypeFlagSet,
		TypeFlagCleared,
		TypeEnded,
		TypeConcluded,
		TypeConsentChanged,
		TypeMessageSettled,
	}
}

// Type implements Head.
func (*Started) Type() Type { return TypeStarted }

// Audience implements Head.
func (*Started) Audience() Audience { return AudienceCustomer }

// Type implements Head.
func (*Assigned) Type() Type { return TypeAssigned }

// Audience implements Head.
func (*Assigned) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*EndpointAdded) Type() Type { return TypeEndpointAdded }

// Audience implements Head.
func (*EndpointAdded) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*CustomerUpdated) Type() Type { return TypeCustomerUpdated }

// Audience implements Head.
func (*CustomerUpdated) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*ContactLinked) Type() Type { return TypeContactLinked }

// Audience implements Head.
func (*ContactLinked) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*PageVisited) Type() Type { return TypePageVisited }

// Audience implements Head.
func (*PageVisited) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*MessagePosted) Type() Type { return TypeMessage }

// Audience implements Head.
func (*MessagePosted) Audience() Audience { return AudienceCustomer }

// Type implements Head.
func (*MessageStatus) Type() Type { return TypeMessageStatus }

// Audience implements Head.
func (*MessageStatus) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*Receipt) Type() Type { return TypeReceipt }

// Audience implements Head.
func (*Receipt) Audience() Audience { return AudienceCustomer }

// Type implements Head.
func (*RoutingRequested) Type() Type { return TypeRoutingRequested }

// Audience implements Head.
func (*RoutingRequested) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*RoutingOffered) Type() Type { return TypeRoutingOffered }

// Audience implements Head.
func (*RoutingOffered) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*RoutingDeclined) Type() Type { return TypeRoutingDeclined }

// Audience implements Head.
func (*RoutingDeclined) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*RoutingCancelled) Type() Type { return TypeRoutingCancelled }

// Audience implements Head.
func (*RoutingCancelled) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*ParticipantJoined) Type() Type { return TypeParticipantJoined }

// Audience implements Head.
func (*ParticipantJoined) Audience() Audience { return AudienceCustomer }

// Type implements Head.
func (*ParticipantLeft) Type() Type { return TypeParticipantLeft }

// Audience implements Head.
func (*ParticipantLeft) Audience() Audience { return AudienceCustomer }

// Type implements Head.
func (*JoinedBy) Type() Type { return TypeJoinedBy }

// Audience implements Head.
func (*JoinedBy) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*WrapupStarted) Type() Type { return TypeWrapupStarted }

// Audience implements Head.
func (*WrapupStarted) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*WrapupEnded) Type() Type { return TypeWrapupEnded }

// Audience implements Head.
func (*WrapupEnded) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*InactivityWarned) Type() Type { return TypeInactivityWarned }

// Audience implements Head.
func (*InactivityWarned) Audience() Audience { return AudienceCustomer }

// Type implements Head.
func (*InactivityCancelled) Type() Type { return TypeInactivityOff }

// Audience implements Head.
func (*InactivityCancelled) Audience() Audience { return AudienceCustomer }

// Type implements Head.
func (*Parked) Type() Type { return TypeParked }

// Audience implements Head.
func (*Parked) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*Unparked) Type() Type { return TypeUnparked }

// Audience implements Head.
func (*Unparked) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*FlagSet) Type() Type { return TypeFlagSet }

// Audience implements Head.
func (*FlagSet) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*FlagCleared) Type() Type { return TypeFlagCleared }

// Audience implements Head.
func (*FlagCleared) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*Ended) Type() Type { return TypeEnded }

// Audience implements Head.
func (*Ended) Audience() Audience { return AudienceCustomer }

// Type implements Head.
func (*Concluded) Type() Type { return TypeConcluded }

// Audience implements Head.
func (*Concluded) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*ConsentChanged) Type() Type { return TypeConsentChanged }

// Audience implements Head.
func (*ConsentChanged) Audience() Audience { return AudienceAgent }

// Type implements Head.
func (*MessageSettled) Type() Type { return TypeMessageSettled }

// Audience implements Head.
func (*MessageSettled) Audience() Audience { return AudienceAgent }
