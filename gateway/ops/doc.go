// Package ops is the operators' listener: metrics in the Prometheus and OpenMetrics text formats,
// liveness, readiness and profiling (SPEC Z2, Z3, ux.md 1). The packages that are measured hand in
// their collectors and readiness checks. Nothing here is authenticated, so the listener belongs on
// loopback or a private network.
//
// It promises that the number of series does not grow with the traffic. It leaves to others what is
// measured and when a node is ready.
package ops
