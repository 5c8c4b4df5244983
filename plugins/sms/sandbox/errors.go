package sandbox

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// apiError is Twilio's error answer.
type apiError struct {
	Code     int    `json:"code"`
	Message  string `json:"message"`
	MoreInfo string `json:"more_info"`
	Status   int    `json:"status"`
}

func (e *apiError) Error() string { return strconv.Itoa(e.Code) + ": " + e.Message }

// newError makes an error answer with HTTP status 400, which most codes have.
func newError(code int) *apiError { return newErrorWith(http.StatusBadRequest, code, errorText(code)) }

func newErrorWith(status, code int, text string) *apiError {
	return &apiError{Code: code, Message: text, Status: status, MoreInfo: fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code)}
}

func errNotFound(r *http.Request) *apiError {
	return newErrorWith(http.StatusNotFound, 20404, "The requested resource "+r.URL.Path+" was not found")
}

func errInternal(err error) *apiError {
	return newErrorWith(http.StatusInternalServerError, 20500, "sandbox: "+err.Error())
}

func writeError(w http.ResponseWriter, e *apiError) { writeJSON(w, e.Status, e) }

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "cannot encode", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// errorText is Twilio's text for a code, or a similar one: programs look at the code only.
func errorText(code int) string {
	if text, ok := errorTexts[code]; ok {
		return text
	}
	return "Error " + strconv.Itoa(code)
}

var errorTexts = map[int]string{
	12300: "Invalid Content-Type",
	20003: "Authenticate",
	20009: "Cannot change this resource before it is complete",
	20404: "The requested resource was not found",
	20429: "Too Many Requests",
	20500: "An internal server error has occurred",
	21211: "Invalid 'To' Phone Number",
	21212: "Invalid 'From' Number",
	21266: "'To' and 'From' number cannot be the same",
	21408: "Permission to send an SMS has not been enabled for the region indicated by the 'To' number",
	21602: "Message body is required.",
	21603: "A 'From' phone number is required.",
	21604: "A 'To' phone number is required.",
	21606: "The 'From' phone number provided is not a valid message-capable Twilio phone number for this destination/account",
	21608: "The number is unverified. Trial accounts cannot send messages to unverified numbers",
	21609: "The 'StatusCallback' URL is not a valid URL.",
	21610: "Attempt to send to unsubscribed recipient",
	21611: "This 'From' number has exceeded the maximum number of queued messages",
	21612: "The 'To' phone number is not currently reachable using the 'From' phone number",
	21614: "'To' number is not a valid mobile number",
	21617: "The concatenated message body exceeds the 1600 character limit",
	21620: "Invalid media URL(s)",
	21621: "The 'From' number has not been enabled for MMS",
	21623: "Number of media files exceeds allowed limit",
	21624: "Invalid ValidityPeriod",
	21701: "The Messaging Service does not exist",
	21703: "The Messaging Service does not contain a phone number",
	30001: "Queue overflow",
	30002: "Account suspended",
	30003: "Unreachable destination handset",
	30004: "Message blocked",
	30005: "Unknown destination handset",
	30006: "Landline or unreachable carrier",
	30007: "Message filtered",
	30008: "Unknown error",
	30009: "Missing inbound segment",
	30010: "Message price exceeds max price",
	30011: "MMS not supported by the receiving phone number in this region",
	30017: "Carrier network congestion",
	30018: "Destination carrier requires sender ID pre-registration",
	30019: "Content size exceeds carrier limit",
	30022: "US A2P 10DLC - Rate limits exceeded",
	30023: "US A2P 10DLC - Daily message cap reached",
	30027: "US A2P 10DLC - T-Mobile daily message limit reached",
	30032: "Toll-free number has not been verified",
	30034: "US A2P 10DLC - Message from an unregistered number",
	30410: "Provider timeout",
	35111: "SendAt is missing or not a time in the future",
	35118: "MessagingServiceSid is required to schedule a message",
}
