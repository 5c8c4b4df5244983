package conversation

import (
	"maps"
	"slices"
)

// eventType holds what is the same for all events of one type.
type eventType struct {
	new      func() Head // makes an empty head, for decoding
	audience Audience    // the widest circle that may see such events, unless an event names another
	// row says whether the conversation's row is written in the same append. The few types without
	// it are those of everyday traffic, which lists do not show: the row then lacks these events,
	// and a load reads them from the log.
	row    bool
	agents func(Head) bool // whether an event has consequences for agents; nil: never
}

// types is the one list of the types of a conversation's stream. Code that depends on an event's
// type alone looks here; the map is never changed. A released type stays in it for ever, with a
// golden file in testdata/events.
var types = map[Type]eventType{
	TypeStarted:           {new: func() Head { return &Started{} }, audience: AudienceCustomer, row: true},
	TypeAssigned:          {new: func() Head { return &Assigned{} }, audience: AudienceAgent, row: true},
	TypeEndpointAdded:     {new: func() Head { return &EndpointAdded{} }, audience: AudienceAgent, row: true},
	TypeCustomerUpdated:   {new: func() Head { return &CustomerUpdated{} }, audience: AudienceAgent},
	TypeContactLinked:     {new: func() Head { return &ContactLinked{} }, audience: AudienceAgent, row: true},
	TypePageVisited:       {new: func() Head { return &PageVisited{} }, audience: AudienceAgent},
	TypeMessage:           {new: func() Head { return &MessagePosted{} }, audience: AudienceCustomer},
	TypeMessageStatus:     {new: func() Head { return &MessageStatus{} }, audience: AudienceAgent},
	TypeReceipt:           {new: func() Head { return &Receipt{} }, audience: AudienceCustomer},
	TypeRoutingRequested:  {new: func() Head { return &RoutingRequested{} }, audience: AudienceAgent, row: true},
	TypeRoutingOffered:    {new: func() Head { return &RoutingOffered{} }, audience: AudienceAgent, row: true, agents: always},
	TypeRoutingDeclined:   {new: func() Head { return &RoutingDeclined{} }, audience: AudienceAgent, row: true, agents: always},
	TypeRoutingCancelled:  {new: func() Head { return &RoutingCancelled{} }, audience: AudienceAgent, row: true, agents: ifOffered},
	TypeParticipantJoined: {new: func() Head { return &ParticipantJoined{} }, audience: AudienceCustomer, row: true, agents: ifAgentJoined},
	TypeParticipantLeft:   {new: func() Head { return &ParticipantLeft{} }, audience: AudienceCustomer, row: true, agents: ifAgentLeft},
	TypeJoinedBy:          {new: func() Head { return &JoinedBy{} }, audience: AudienceAgent, row: true, agents: always},
	TypeWrapupStarted:     {new: func() Head { return &WrapupStarted{} }, audience: AudienceAgent, row: true, agents: always},
	TypeWrapupEnded:       {new: func() Head { return &WrapupEnded{} }, audience: AudienceAgent, row: true, agents: always},
	TypeInactivityWarned:  {new: func() Head { return &InactivityWarned{} }, audience: AudienceCustomer, row: true},
	TypeInactivityOff:     {new: func() Head { return &InactivityCancelled{} }, audience: AudienceCustomer, row: true},
	TypeParked:            {new: func() Head { return &Parked{} }, audience: AudienceAgent, row: true},
	TypeUnparked:          {new: func() Head { return &Unparked{} }, audience: AudienceAgent, row: true},
	TypeFlagSet:           {new: func() Head { return &FlagSet{} }, audience: AudienceAgent, row: true},
	TypeFlagCleared:       {new: func() Head { return &FlagCleared{} }, audience: AudienceAgent, row: true},
	TypeEnded:             {new: func() Head { return &Ended{} }, audience: AudienceCustomer, row: true},
	TypeConcluded:         {new: func() Head { return &Concluded{} }, audience: AudienceAgent, row: true},
	TypeConsentChanged:    {new: func() Head { return &ConsentChanged{} }, audience: AudienceAgent, row: true},
	TypeSessionRequested:  {new: func() Head { return &SessionRequested{} }, audience: AudienceAgent, row: true},
	TypeSessionChanged:    {new: func() Head { return &SessionChanged{} }, audience: AudienceAgent, row: true},
	TypeSessionEnded:      {new: func() Head { return &SessionEnded{} }, audience: AudienceAgent, row: true},
	TypeSessionLeg:        {new: func() Head { return &SessionLeg{} }, audience: AudienceAgent, row: true},
	TypeSessionPanel:      {new: func() Head { return &SessionPanel{} }, audience: AudienceAgent},
	TypeSupervisorJoined:  {new: func() Head { return &SupervisorJoined{} }, audience: AudienceSupervisor, row: true, agents: always},
	TypeSupervisorLeft:    {new: func() Head { return &SupervisorLeft{} }, audience: AudienceSupervisor, row: true, agents: always},
	TypeNote:              {new: func() Head { return &Note{} }, audience: AudienceAgent},
	TypeContentRewritten:  {new: func() Head { return &ContentRewritten{} }, audience: AudienceAudit},
	TypeWindowChanged:     {new: func() Head { return &WindowChanged{} }, audience: AudienceAgent},
	TypeMessageNamed:      {new: func() Head { return &MessageNamed{} }, audience: AudienceAgent},
	TypeMessageSettled:    {new: func() Head { return &MessageSettled{} }, audience: AudienceAgent},

	TypeSessionCustomerPanel: {new: func() Head { return &SessionCustomerPanel{} }, audience: AudienceCustomer},
	TypeSessionNoted:         {new: func() Head { return &SessionNoted{} }, audience: AudienceAgent},
	TypeSessionDigits:        {new: func() Head { return &SessionDigits{} }, audience: AudienceBot},
	TypeSessionRecorded:      {new: func() Head { return &SessionRecorded{} }, audience: AudienceAgent},
	TypeSessionCommand:       {new: func() Head { return &SessionCommand{} }, audience: AudienceAgent},
	TypeSessionCommandFailed: {new: func() Head { return &SessionCommandFailed{} }, audience: AudienceAgent},
}

func always(Head) bool { return true }

// ifOffered reports whether the cancelled request was being offered to an agent.
func ifOffered(h Head) bool { return !h.(*RoutingCancelled).Offer.IsZero() }

func ifAgentJoined(h Head) bool { return h.(*ParticipantJoined).Who.Kind == Agent }

func ifAgentLeft(h Head) bool { return h.(*ParticipantLeft).Who.Kind == Agent }

// Types lists every released type of a conversation's stream, by name.
func Types() []Type { return slices.Sorted(maps.Keys(types)) }

// WritesRow reports whether the conversation's row is written together with an event of type t.
// This is so for every type that is not listed as leaving the row unchanged.
func WritesRow(t Type) bool {
	known, ok := types[t]
	return !ok || known.row
}

// ConcernsAgents reports whether an event may have consequences for the streams
// of agents (acd.Consequences).
func ConcernsAgents(h Head) bool {
	concerns := types[h.Type()].agents
	return concerns != nil && concerns(h)
}
