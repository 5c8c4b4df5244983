// Package sandbox is a double of Twilio: the REST resource that sends messages, signed webhooks and
// status callbacks with Twilio's retries, virtual handsets that people can use in a browser, and
// failures on request. It keeps a ledger of everything that it took and sent, on disk if asked, so
// that tests can prove that nothing was lost or doubled. It behaves as the vendor's public
// documentation describes; README.md lists the control API and what is left out.
package sandbox
