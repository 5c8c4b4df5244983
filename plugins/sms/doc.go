// Package sms is the channel for text messages. It takes the carrier's
// webhooks, sends through the carrier's REST interface and reads its status
// callbacks; carriers stand behind one small interface (carrier.go), Twilio is
// the one there is.
//
// It promises that a webhook is understood by a pure function, so that the
// gateway can store what it said before it answers (PR1, PR3); that nothing is
// sent before the Begin barrier and nothing whose fate is open is called
// failed (PR4); and that texts, numbers and tokens reach no log, error or
// metric. What a restart would miss is kept by the gateway. Retries, order
// and consent are the gateway's business, too.
//
// Package segment beneath it is the arithmetic of text lengths.
package sms
