package webchat

import (
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/parley-gateway/parley/internal/quota"
	"github.com/parley-gateway/parley/plugins/sdk"
)

// maxCounted is how many visitors, and how many addresses, are counted at once. Sites need no such
// limit, because only configuration adds them: an upload of a visitor or address that was forgotten
// early still counts against its site's limit.
const maxCounted = 50_000

const megabyte = 1_000_000

// quotas count what each visitor has uploaded, and what was uploaded from each address and to each
// site, within an hour, on this node. They belong to the hub and not to a socket or visitor, so
// that connecting again, as the same visitor or as a new one, does not restore them (FT24).
type quotas struct {
	visitors  *quota.Ledger[usage[visitorKey]]
	addresses *quota.Ledger[usage[addressKey]]
	sites     *quota.Ledger[usage[sdk.AccountID]]
}

// usage names whose uploads are counted, and whether by bytes or by files.
type usage[K comparable] struct {
	who   K
	bytes bool // bytes; false: files
}

func newQuotas() *quotas {
	return &quotas{
		visitors:  quota.New[usage[visitorKey]](maxCounted),
		addresses: quota.New[usage[addressKey]](maxCounted),
		sites:     quota.New[usage[sdk.AccountID]](maxCounted),
	}
}

// quotaError: an upload limit is used up, and more is allowed after this time.
type quotaError struct {
	after time.Duration
	count *atomic.Uint64 // counts the refusals by this limit
}

// Error implements error.
func (*quotaError) Error() string { return "the limit of uploads is used up" }

// uploader is the visitor who uploads, with their site and address.
type uploader struct {
	h    *hub
	at   *site
	from netip.Addr
	who  visitorKey
}

// takeFile counts one file against the limits, and returns an error if it is not allowed.
func (u uploader) takeFile() error {
	return u.count(false, 1, true, u.at.VisitorUploadsPerHour, u.at.AddressUploadsPerHour, u.at.SiteUploadsPerHour)
}

// fitsBytes returns an error if n more bytes would exceed a limit.
func (u uploader) fitsBytes(n int64) error { return u.bytes(n, false) }

// takeBytes counts bytes as they come in. They stay counted even if the file is refused later,
// since receiving them has cost the same.
func (u uploader) takeBytes(n int64) error { return u.bytes(n, true) }

func (u uploader) bytes(n int64, take bool) error {
	return u.count(true, n, take, u.at.VisitorUploadMBPerHour*megabyte, u.at.AddressUploadMBPerHour*megabyte, u.at.SiteUploadMBPerHour*megabyte)
}

// count checks all three limits before it counts against any: an upload that one of them refuses
// does not use up the others.
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
	// Other uploads may have used up the limit since it was checked.
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
