package api_test

import (
	"fmt"
	"testing"

	"github.com/parley-gateway/parley/core/router"
	"github.com/parley-gateway/parley/gateway/api"
)

// A refusal of the router has its published code wherever it arises; none is an error of ours.
func TestRefusalsHaveCodes(t *testing.T) {
	for err, want := range map[error]int{
		router.ErrNotFound: 404, router.ErrUnknownAccount: 404, router.ErrNoService: 409, router.ErrUnknownAgent: 404,
		router.ErrInvalid: 422, router.ErrTooLarge: 413, router.ErrDenied: 403, router.ErrNoSender: 409, router.ErrInvalidAddress: 422,
		router.ErrNoSuchTemplate: 409, router.ErrTemplateStatus: 409, router.ErrTemplateValues: 422, &router.ThreadOpenError{}: 409,
	} {
		f := api.ToFault(fmt.Errorf("send: %w", err), func(_ string, err error) { t.Errorf("unforeseen: %v", err) })
		if f.Code != router.Code(err) || f.Status != want {
			t.Errorf("%v is %q with %d, want %q with %d", err, f.Code, f.Status, router.Code(err), want)
		}
	}
}
