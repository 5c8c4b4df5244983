package conversation

import (
	"encoding/json"
	"errors"
	"fmt"
)

// ErrUnknownType stops a fold: this build does not know the event's type, and the event is not
// marked as ignorable.
var ErrUnknownType = errors.New("conversation: unknown event type")

// DecodeHead reads the stored head of an event of type t and returns a pointer to it. For an
// unknown type it returns an *Ignored if the head says that it is ignorable, else ErrUnknownType.
func DecodeHead(t Type, head []byte) (Head, error) {
	known, ok := types[t]
	if !ok {
		return UnknownHead(t, head)
	}
	h := known.new()
	if err := json.Unmarshal(head, h); err != nil {
		return nil, fmt.Errorf("decode head of %s: %w", t, err)
	}
	return h, nil
}

// Type implements Head.
func (*Started) Type() Type { return TypeStarted }

// Audience implements Head.
func (*Started) Audience() Audience { return types[TypeStarted].audience }

// Type implements Head.
func (*Assigned) Type() Type { return TypeAssigned }

// Audience implements Head.
func (*Assigned) Audience() Audience { return types[TypeAssigned].audience }

// Type implements Head.
func (*EndpointAdded) Type() Type { return TypeEndpointAdded }

// Audience implements Head.
func (*EndpointAdded) Audience() Audience { return types[TypeEndpointAdded].audience }

// Type implements Head.
func (*CustomerUpdated) Type() Type { return TypeCustomerUpdated }

// Audience implements Head.
func (*CustomerUpdated) Audience() Audience { return types[TypeCustomerUpdated].audience }

// Type implements Head.
func (*ContactLinked) Type() Type { return TypeContactLinked }

// Audience implements Head.
func (*ContactLinked) Audience() Audience { return types[TypeContactLinked].audience }

// Type implements Head.
func (*PageVisited) Type() Type { return TypePageVisited }

// Audience implements Head.
func (*PageVisited) Audience() Audience { return types[TypePageVisited].audience }

// Type implements Head.
func (*MessagePosted) Type() Type { return TypeMessage }

// Audience implements Head.
func (*MessagePosted) Audience() Audience { return types[TypeMessage].audience }

// Type implements Head.
func (*MessageStatus) Type() Type { return TypeMessageStatus }

// Audience implements Head.
func (*MessageStatus) Audience() Audience { return types[TypeMessageStatus].audience }

// Type implements Head.
func (*Receipt) Type() Type { return TypeReceipt }

// Audience implements Head.
func (*Receipt) Audience() Audience { return types[TypeReceipt].audience }

// Type implements Head.
func (*RoutingRequested) Type() Type { return TypeRoutingRequested }

// Audience implements Head.
func (*RoutingRequested) Audience() Audience { return types[TypeRoutingRequested].audience }

// Type implements Head.
func (*RoutingOffered) Type() Type { return TypeRoutingOffered }

// Audience implements Head.
func (*RoutingOffered) Audience() Audience { return types[TypeRoutingOffered].audience }

// Type implements Head.
func (*RoutingDeclined) Type() Type { return TypeRoutingDeclined }

// Audience implements Head.
func (*RoutingDeclined) Audience() Audience { return types[TypeRoutingDeclined].audience }

// Type implements Head.
func (*RoutingCancelled) Type() Type { return TypeRoutingCancelled }

// Audience implements Head.
func (*RoutingCancelled) Audience() Audience { return types[TypeRoutingCancelled].audience }

// Type implements Head.
func (*ParticipantJoined) Type() Type { return TypeParticipantJoined }

// Audience implements Head.
func (*ParticipantJoined) Audience() Audience { return types[TypeParticipantJoined].audience }

// Type implements Head.
func (*ParticipantLeft) Type() Type { return TypeParticipantLeft }

// Audience implements Head.
func (*ParticipantLeft) Audience() Audience { return types[TypeParticipantLeft].audience }

// Type implements Head.
func (*JoinedBy) Type() Type { return TypeJoinedBy }

// Audience implements Head.
func (*JoinedBy) Audience() Audience { return types[TypeJoinedBy].audience }

// Type implements Head.
func (*WrapupStarted) Type() Type { return TypeWrapupStarted }

// Audience implements Head.
func (*WrapupStarted) Audience() Audience { return types[TypeWrapupStarted].audience }

// Type implements Head.
func (*WrapupEnded) Type() Type { return TypeWrapupEnded }

// Audience implements Head.
func (*WrapupEnded) Audience() Audience { return types[TypeWrapupEnded].audience }

// Type implements Head.
func (*InactivityWarned) Type() Type { return TypeInactivityWarned }

// Audience implements Head.
func (*InactivityWarned) Audience() Audience { return types[TypeInactivityWarned].audience }

// Type implements Head.
func (*InactivityCancelled) Type() Type { return TypeInactivityOff }

// Audience implements Head.
func (*InactivityCancelled) Audience() Audience { return types[TypeInactivityOff].audience }

// Type implements Head.
func (*Parked) Type() Type { return TypeParked }

// Audience implements Head.
func (*Parked) Audience() Audience { return types[TypeParked].audience }

// Type implements Head.
func (*Unparked) Type() Type { return TypeUnparked }

// Audience implements Head.
func (*Unparked) Audience() Audience { return types[TypeUnparked].audience }

// Type implements Head.
func (*FlagSet) Type() Type { return TypeFlagSet }

// Audience implements Head.
func (*FlagSet) Audience() Audience { return types[TypeFlagSet].audience }

// Type implements Head.
func (*FlagCleared) Type() Type { return TypeFlagCleared }

// Audience implements Head.
func (*FlagCleared) Audience() Audience { return types[TypeFlagCleared].audience }

// Type implements Head.
func (*Ended) Type() Type { return TypeEnded }

// Audience implements Head.
func (*Ended) Audience() Audience { return types[TypeEnded].audience }

// Type implements Head.
func (*Concluded) Type() Type { return TypeConcluded }

// Audience implements Head.
func (*Concluded) Audience() Audience { return types[TypeConcluded].audience }

// Type implements Head.
func (*ConsentChanged) Type() Type { return TypeConsentChanged }

// Audience implements Head.
func (*ConsentChanged) Audience() Audience { return types[TypeConsentChanged].audience }

// Type implements Head.
func (*MessageSettled) Type() Type { return TypeMessageSettled }

// Audience implements Head.
func (*MessageSettled) Audience() Audience { return types[TypeMessageSettled].audience }
