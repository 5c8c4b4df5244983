package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"strings"
	"time"

	"github.com/parley-gateway/parley/core/conversation"
)

// DeviceCookie names the cookie that tells that a user has logged in with this browser before. It
// gives no access: it only separates the failed logins of this browser from those of strangers
// (OWASP "Slow Down Online Guessing Attacks with Device Cookies"). It stays after logout, a new
// password, and the end of the session.
const DeviceCookie = "__Host-parley-device"

const (
	deviceKeeps = 180 * 24 * time.Hour // how long a cookie counts after the last login
	maxDevices  = 8                    // how many users of one browser are remembered
	deviceBytes = 16 + 16 + 8 + 32     // user, device, Unix time of the login, HMAC-SHA-256
)

// device is one entry of the cookie, as it was signed: user, device, time.
type device [deviceBytes - sha256.Size]byte

func (d device) user() (u conversation.AgentID) { copy(u[:], d[:16]); return u }

func (d device) id() (id [16]byte) { copy(id[:], d[16:32]); return id }

func (d device) at() time.Time { return time.Unix(int64(binary.BigEndian.Uint64(d[32:])), 0) }

// devices returns the entries of a cookie's value that this gateway has signed and that are not too
// old. It takes the same time whichever users they name.
func (a *Auth) devices(value string, now time.Time) (out []device) {
	for range maxDevices {
		var text string
		if text, value, _ = strings.Cut(value, "."); text == "" {
			break
		}
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil || len(raw) != deviceBytes {
			continue
		}
		d := device(raw)
		if age := now.Sub(d.at()); hmac.Equal(a.signDevice(d), raw[len(d):]) && age < deviceKeeps {
			out = append(out, d)
		}
	}
	return out
}

func (a *Auth) signDevice(d device) []byte {
	m := hmac.New(sha256.New, a.opts.DeviceKey)
	_, _ = m.Write(d[:]) // a hash never fails
	return m.Sum(nil)
}

// remembered is the cookie's value after a user has logged in: that user's entry first, with the
// device id it had before, then the entries of other users of the browser.
func (a *Auth) remembered(had []device, user conversation.AgentID, now time.Time) string {
	var first device
	copy(first[:], user[:])
	_, _ = rand.Read(first[16:32]) // never fails (crypto/rand)
	list := []device{first}
	for _, d := range had {
		if d.user() == user {
			copy(list[0][16:32], d[16:32])
		} else if len(list) < maxDevices {
			list = append(list, d)
		}
	}
	binary.BigEndian.PutUint64(list[0][32:], uint64(now.Unix()))
	texts := make([]string, len(list))
	for i, d := range list {
		texts[i] = base64.RawURLEncoding.EncodeToString(append(d[:], a.signDevice(d)...))
	}
	return strings.Join(texts, ".")
}

// DeviceSetCookie is the Set-Cookie of DeviceCookie after a login.
func DeviceSetCookie(res LoginResult) *http.Cookie {
	return &http.Cookie{
		Name: DeviceCookie, Value: res.Device, Path: "/", MaxAge: int(deviceKeeps.Seconds()),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}
