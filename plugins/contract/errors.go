package contract

import (
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// ErrorDomain is the domain of every ErrorInfo of the contract.
const ErrorDomain = "parley"

// Reasons that an ErrorInfo carries, so that the other side can return the sentinel error that
// belongs to it. The list only grows.
const (
	ReasonNotFound   = "NOT_FOUND"   // no such key, blob, account or thread
	ReasonConflict   = "CONFLICT"    // the version is no longer the one that the caller named
	ReasonTooLarge   = "TOO_LARGE"   // over a limit of the host
	ReasonDenied     = "DENIED"      // it does not belong to the plugin
	ReasonInvalid    = "INVALID"     // the request is malformed
	ReasonVersion    = "VERSION"     // the host is older than the plugin demands
	ReasonNotDurable = "NOT_DURABLE" // cannot be stored now; try again later
)

// Error returns a gRPC status error which carries reason in an ErrorInfo.
func Error(code codes.Code, reason, text string) error {
	st := status.New(code, text)
	if with, err := st.WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: ErrorDomain}); err == nil {
		st = with
	}
	return st.Err()
}

// Reason returns the contract's reason inside err, or "" where there is none.
func Reason(err error) string {
	st, ok := status.FromError(err)
	if !ok || st == nil {
		return ""
	}
	for _, d := range st.Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok && info.GetDomain() == ErrorDomain {
			return info.GetReason()
		}
	}
	return ""
}
