// Package memgateway is the gateway in memory, for tests of plugins: a Ledger in the place of
// router and log, which answers events, and a Service in the place of the GatewayService. The
// doubles of the host are built on it: those of sdktest, of the kit, and of plugins.
//
// What it promises: it refuses what the gateway refuses, with the same code, and answers repeats
// with the same ids; hosttest is run against both.
//
// What it leaves to others: sessions, frames and subscriptions; what a record of a conversation
// looks like; agents, queues and time.
package memgateway
