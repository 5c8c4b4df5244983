package webchat

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/parley-gateway/parley/internal/quota"
	"github.com/parley-gateway/parley/plugins/sdk"
)

// maxCounted is how many visitors, and how many addresses, are counted at once.
// Sites are configured, so their number is not the customers' to choose: a
// visitor or address that is forgotten early still meets its site's limit.
const maxCounted = 50_000

const megabyte = 1_000_000

// quotas count what was uploaded by each visitor, from each address and to each
// site within an hour, on this node. They are the hub's, not a socket's or a
// visitor's, so that coming again, as the same visitor or as a new one, does not
// fill them (FT24).
type quotas struct {
	visitors  *quota.Ledger[usage[visitorKey]]
	addresses *quota.Ledger[usage[addressKey]]
	sites     *quota.Ledger[usage[sdk.AccountID]]
}

// usage is what is counted of whom.
type usage[K comparable] struct {
	who   K
	bytes bool // else files
}

func newQuotas() *quotas {
	return &quotas{
		visitors:  quota.New[usage[visitorKey]](maxCounted),
		addresses: quota.New[usage[addressKey]](maxCounted),
		sites:     quota.New[usage[sdk.AccountID]](maxCounted),
	}
}

// quotaError: a limit of uploads is used up until the time is over.
type quotaError struct {
	after time.Duration
	count *atomic.Uint64 // of the limit that refused
}

// Error implements error.
func (*quotaError) Error() string { return "the limit of uploads is used up" }

// uploader is who uploads: to a site, from an address.
type uploader struct {
	h    *hub
	at   *site
	from netip.Addr
	who  visitorKey
}

// takeFile counts one file that may be uploaded.
func (u uploader) takeFile() error {
	return u.count(false, 1, true, u.at.VisitorUploadsPerHour, u.at.AddressUploadsPerHour, u.at.SiteUploadsPerHour)
}

// fitsBytes says whether n more bytes would be taken.
func (u uploader) fitsBytes(n int64) error { return u.bytes(n, false) }

// takeBytes counts bytes as they come in. Nothing gives them back: what was
// received and then refused has cost the same.
func (u uploader) takeBytes(n int64) error { return u.bytes(n, true) }

func (u uploader) bytes(n int64, take bool) error {
	return u.count(true, n, take, u.at.VisitorUploadMBPerHour*megabyte, u.at.AddressUploadMBPerHour*megabyte, u.at.SiteUploadMBPerHour*megabyte)
}

// count looks at all three limits before it takes from any: what one of them
// refuses uses up none of the others.
func (u uploader) count(bytes bool, n int64, take bool, visitor, address, site int64) error {
	q, c, now := u.h.quotas, &u.h.count, time.Now()
	ofVisitor := usage[visitorKey]{u.who, bytes}
	ofAddress := usage[addressKey]{addressKey{u.at.account, u.from}, bytes}
	ofSite := usage[sdk.AccountID]{u.at.account, bytes}
	exempt := u.at.isExempt(u.from)
	if after, ok := q.visitors.Fits(now, ofVisitor, n, visitor); !ok {
		return &quotaError{after, &c.visitorUploads}
	}
	if after, ok := q.addresses.Fits(now, ofAddress, n, address); !ok && !exempt {
		return &quotaError{after, &c.addressUploads}
	}
	if after, ok := q.sites.Fits(now, ofSite, n, site); !ok || !take {
		if ok {
			return nil
		}
		return &quotaError{after, &c.siteUploads}
	}
	// Uploads that run side by side may have used up the rest since.
	if after, ok := q.visitors.Take(now, ofVisitor, n, visitor); !ok {
		return &quotaError{after, &c.visitorUploads}
	}
	if !exempt {
		if after, ok := q.addresses.Take(now, ofAddress, n, address); !ok {
			return &quotaError{after, &c.addressUploads}
		}
	}
	if after, ok := q.sites.Take(now, ofSite, n, site); !ok {
		return &quotaError{after, &c.siteUploads}
	}
	return nil
}
