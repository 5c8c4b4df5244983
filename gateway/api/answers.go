package api

import "github.com/parley-gateway/parley/core/directory"

// Answers lists the bodies of the routes that the desktop uses, by the name that front ends give
// the type: gateway/stream generates TypeScript types from them beside those of its frames.
func Answers() map[string]any {
	return map[string]any{
		"ConversationPage": listOutput{}.Body, "ConversationDetail": conversationOutput{}.Body,
		"Senders": sendersOutput{}.Body, "Invitees": inviteesOutput{}.Body, "FileLink": linkOutput{}.Body,
		"ContactPage": listOfOutput[directory.Contact]{}.Body, "UploadAnswer": fileView{},
	}
}
