// Package sms is the channel for text messages. It takes the carrier's webhooks, sends through the
// carrier's REST interface and reads its status callbacks. Carriers are implementations of one
// small interface (carrier.go); Twilio is the only one so far.
//
// It promises that the interpretation of a webhook depends on nothing but the webhook and the
// settings, so that the gateway can store the result before it answers (PR1, PR3); that nothing is
// sent before Begin has returned, and that no message whose outcome is open is reported as failed
// (PR4); and that texts, numbers and tokens appear in no log, error or metric. What must survive a
// restart is kept by the gateway. It leaves retries, order and consent to the gateway.
//
// Package segment below it counts the length of texts.
package sms
