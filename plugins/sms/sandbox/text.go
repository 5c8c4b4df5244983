package sandbox

import (
	"strings"
	"unicode/utf16"
)

const (
	gsmBasic     = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmExtension = "\f^{}\\[~]|€"
	maxBody      = 1600 // characters, to and from handsets
)

// segments counts the parts of a text as carriers bill them: 160 septets alone or 153 each in
// several parts; 70 or 67 UTF-16 units if a character is not in the GSM alphabet (3GPP TS 23.038).
// No pair is split.
func segments(text string) int {
	one, part, cost := 160, 153, gsmCost
	for _, r := range text {
		if gsmCost(r) == 0 {
			one, part, cost = 70, 67, func(r rune) int { return max(1, utf16.RuneLen(r)) }
			break
		}
	}
	total, parts, used := 0, 1, 0
	for _, r := range text {
		n := cost(r)
		total += n
		if used += n; used > part {
			parts, used = parts+1, n
		}
	}
	if total <= one {
		return 1
	}
	return parts
}

// gsmCost is the number of septets of a character; 0 = not in the alphabet.
func gsmCost(r rune) int {
	switch {
	case strings.ContainsRune(gsmBasic, r):
		return 1
	case strings.ContainsRune(gsmExtension, r):
		return 2
	}
	return 0
}

// validPhone reports whether the text is a number in E.164 with its plus.
func validPhone(s string) bool {
	digits, ok := strings.CutPrefix(s, "+")
	return ok && len(digits) >= 7 && len(digits) <= 15 && digits[0] != '0' && allDigits(digits)
}

// validSender reports whether the text can be a sender: E.164, a short code of
// 3 to 8 digits, or up to 11 letters, digits and blanks with a letter.
func validSender(s string) bool {
	if validPhone(s) || len(s) >= 3 && len(s) <= 8 && allDigits(s) {
		return true
	}
	letter := false
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z':
			letter = true
		case r == ' ' || r >= '0' && r <= '9':
		default:
			return false
		}
	}
	return letter && len(s) <= 11
}

func allDigits(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// optOutWords are the words that Twilio itself handles if they are the whole text, in upper or
// lower case.
var optOutWords = map[string]string{
	"STOP": "STOP", "UNSUBSCRIBE": "STOP", "END": "STOP", "QUIT": "STOP", "STOPALL": "STOP", "REVOKE": "STOP", "OPTOUT": "STOP", "CANCEL": "STOP",
	"START": "START", "UNSTOP": "START", "HELP": "HELP", "INFO": "HELP",
}

// optOutReplies are Twilio's default answers to these words.
var optOutReplies = map[string]string{
	"STOP":  "You have successfully been unsubscribed. You will not receive any more messages from this number. Reply START to resubscribe.",
	"START": "You have successfully been re-subscribed to messages from this number. Reply HELP for help. Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
	"HELP":  "Reply STOP to unsubscribe. Msg&Data Rates May Apply.",
}

// optOut returns STOP, START, HELP or "".
func optOut(body string) string { return optOutWords[strings.ToUpper(strings.TrimSpace(body))] }
