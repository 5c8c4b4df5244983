package api

import "github.com/parley-gateway/parley/core/directory"

// Answers are what routes of the desktop answer with, by the name that front ends
// give the type: gateway/stream writes it down with the types of its frames.
func Answers() map[string]any {
	return map[string]any{
		"ConversationPage": listOutput{}.Body, "ConversationDetail": conversationOutput{}.Body,
		"Senders": sendersOutput{}.Body, "Invitees": inviteesOutput{}.Body, "FileLink": linkOutput{}.Body,
		"ContactPage": listOfOutput[directory.Contact]{}.Body, "UploadAnswer": fileView{},
	}
}
