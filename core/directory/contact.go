package directory

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/nyaruka/phonenumbers"

	"github.com/parley-gateway/parley/core/conversation"
)

// Contact is a known customer. It is stored sealed under a data key of its own, and its addresses
// are found by a keyed hash.
type Contact struct {
	ID         conversation.ContactID `json:"id"`
	Name       string                 `json:"name"`
	FirstName  string                 `json:"first_name,omitempty"`
	LastName   string                 `json:"last_name,omitempty"`
	Company    string                 `json:"company,omitempty"`
	Addresses  []string               `json:"addresses,omitempty"` // normalised, see NormaliseAddress
	Notes      string                 `json:"notes,omitempty"`
	Attributes map[string]string      `json:"attributes,omitempty"`
}

// Limits of a contact.
const (
	maxAddresses  = 50
	maxNotes      = 64 << 10
	maxAttributes = 50
)

// NormaliseAddress gives an address the one form in which addresses are compared: a telephone
// number with a plus becomes E.164, a mail address lower case, and an address with a scheme
// ("web:...") only loses white space around it. ok is false for text of any other kind.
func NormaliseAddress(s string) (address string, ok bool) {
	s = strings.TrimSpace(s)
	if s == "" || len(s) > 320 || strings.ContainsFunc(s, unicode.IsControl) {
		return "", false
	}
	switch {
	case s[0] == '+':
		n, err := phonenumbers.Parse(s, "ZZ")
		if err != nil || !phonenumbers.IsPossibleNumber(n) {
			return "", false
		}
		return phonenumbers.Format(n, phonenumbers.E164), true
	case strings.Contains(s, ":"):
		scheme, rest, _ := strings.Cut(s, ":")
		return s, keyPattern.MatchString(scheme) && rest != ""
	default:
		at := strings.LastIndexByte(s, '@')
		if at < 1 || at == len(s)-1 || strings.ContainsAny(s, " \t<>,;") {
			return "", false
		}
		return strings.ToLower(s), true
	}
}

func (c *Contact) normalise() {
	c.Name = strings.TrimSpace(c.Name)
	if c.Name == "" {
		c.Name = strings.TrimSpace(c.FirstName + " " + c.LastName)
	}
	for i, a := range c.Addresses {
		if n, ok := NormaliseAddress(a); ok {
			c.Addresses[i] = n
		}
	}
	c.Addresses = sortedSet(c.Addresses)
	if len(c.Attributes) == 0 {
		c.Attributes = nil
	}
}

func (c *Contact) validate() error {
	var f faults
	f.label("name", c.Name, true)
	f.label("first_name", c.FirstName, false)
	f.label("last_name", c.LastName, false)
	f.label("company", c.Company, false)
	f.check(len(c.Addresses) <= maxAddresses, "addresses", "must be at most 50")
	for i, a := range c.Addresses {
		_, ok := NormaliseAddress(a)
		f.check(ok, fmt.Sprintf("addresses[%d]", i), "must be a telephone number with plus and country code, a mail address, or scheme:address")
	}
	f.check(len(c.Notes) <= maxNotes, "notes", "must be at most 64 KiB")
	f.check(len(c.Attributes) <= maxAttributes, "attributes", "must be at most 50")
	for k, v := range c.Attributes {
		f.check(keyPattern.MatchString(k), "attributes", "a name must be of a-z 0-9 . _ -, starting with a letter")
		f.check(len(v) <= 1000, "attributes", "a value must be at most 1000 bytes")
	}
	return f.err()
}

// PutContact creates a contact (zero ID) or replaces one.
func (d *Directory) PutContact(ctx context.Context, c Contact) (Contact, error) {
	_, err := d.edit(ctx, func(e *editor) (err error) {
		c, err = e.putContact(c)
		return err
	})
	return c, err
}

// DeleteContact erases a contact and destroys its data key. It fails with ErrNotFound when there is
// no such contact.
func (d *Directory) DeleteContact(ctx context.Context, id conversation.ContactID) error {
	_, err := d.edit(ctx, func(e *editor) error {
		_, keyID, err := d.contact(ctx, e.tx, id)
		if err != nil && keyID == 0 {
			return fmt.Errorf("directory: delete contact: %w", err)
		}
		for _, q := range []string{`DELETE FROM contact_addresses WHERE contact = $1`, `DELETE FROM contacts WHERE id = $1`} {
			if _, err := e.tx.ExecContext(ctx, q, id); err != nil {
				return fmt.Errorf("directory: delete contact: %w", err)
			}
		}
		e.spent(keyID)
		e.note(Change{Kind: "contact", ID: id.String(), Action: Deleted})
		return nil
	})
	return err
}

// Contact reads a contact, or ErrNotFound.
func (d *Directory) Contact(ctx context.Context, id conversation.ContactID) (Contact, error) {
	c, _, err := d.contact(ctx, d.db.Reader(), id)
	if err != nil {
		return Contact{}, fmt.Errorf("directory: contact: %w", err)
	}
	return c, nil
}

// FindContacts returns the contacts that have an address, in any spelling.
func (d *Directory) FindContacts(ctx context.Context, address string) ([]Contact, error) {
	n, ok := NormaliseAddress(address)
	if !ok {
		return nil, nil
	}
	ids, err := d.contactIDs(ctx, d.db.Reader(), n)
	if err != nil {
		return nil, fmt.Errorf("directory: find contacts: %w", err)
	}
	var out []Contact
	for _, id := range ids {
		c, _, err := d.contact(ctx, d.db.Reader(), id)
		if errors.Is(err, ErrNotFound) {
			continue // the contact was deleted meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("directory: find contacts: %w", err)
		}
		out = append(out, c)
	}
	return out, nil
}

// SearchContacts returns up to limit contacts whose name, company or address contains the text in
// any case, oldest first. Contacts are sealed, so it opens one after the other: about 3 us each.
func (d *Directory) SearchContacts(ctx context.Context, text string, limit int) ([]Contact, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	rows, err := d.db.Reader().QueryContext(ctx, `SELECT id, key_id, sealed FROM contacts ORDER BY id`)
	if err != nil {
		return nil, fmt.Errorf("directory: search contacts: %w", d.db.Note(err))
	}
	defer func() { _ = rows.Close() }()
	var out []Contact
	for rows.Next() && len(out) < limit {
		var id conversation.ContactID
		var keyID int64
		var sealed []byte
		if err := rows.Scan(&id, &keyID, &sealed); err != nil {
			return nil, fmt.Errorf("directory: search contacts: %w", err)
		}
		c, err := d.openContact(id, keyID, sealed)
		if err != nil {
			return nil, fmt.Errorf("directory: search contacts: %w", err)
		}
		if c.matches(text) {
			out = append(out, c)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("directory: search contacts: %w", d.db.Note(err))
	}
	return out, nil
}

func (c *Contact) matches(text string) bool {
	for _, s := range append([]string{c.Name, c.FirstName, c.LastName, c.Company}, c.Addresses...) {
		if strings.Contains(strings.ToLower(s), text) {
			return true
		}
	}
	return false
}

func contactAAD(id conversation.ContactID) []byte { return append([]byte("contact/"), id[:]...) }

func (d *Directory) addressKey(normalised string) []byte {
	mac := d.vault.MAC("directory/address", []byte(normalised))
	return mac[:]
}

func (d *Directory) contactIDs(ctx context.Context, q querier, normalised string) ([]conversation.ContactID, error) {
	rows, err := q.QueryContext(ctx, selectByAddress, d.addressKey(normalised))
	return d.scanContactIDs(rows, err)
}

const selectByAddress = `SELECT contact FROM contact_addresses WHERE address = $1 ORDER BY contact`

func (d *Directory) scanContactIDs(rows *sql.Rows, err error) ([]conversation.ContactID, error) {
	if err != nil {
		return nil, d.db.Note(err)
	}
	defer func() { _ = rows.Close() }()
	var ids []conversation.ContactID
	for rows.Next() {
		var id conversation.ContactID
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, d.db.Note(rows.Err())
}

// contact reads a contact. When the contact is stored but cannot be opened, its data key is
// returned with the error.
func (d *Directory) contact(ctx context.Context, q querier, id conversation.ContactID) (Contact, int64, error) {
	var keyID int64
	var sealed []byte
	err := q.QueryRowContext(ctx, `SELECT key_id, sealed FROM contacts WHERE id = $1`, id).Scan(&keyID, &sealed)
	if errors.Is(err, sql.ErrNoRows) {
		return Contact{}, 0, ErrNotFound
	}
	if err != nil {
		return Contact{}, 0, d.db.Note(err)
	}
	c, err := d.openContact(id, keyID, sealed)
	return c, keyID, err
}

func (d *Directory) openContact(id conversation.ContactID, keyID int64, sealed []byte) (c Contact, err error) {
	plain, err := d.vault.Open(keyID, contactAAD(id), sealed)
	if err != nil {
		return c, err
	}
	err = json.Unmarshal(plain, &c)
	return c, err
}

func (e *editor) putContact(c Contact) (Contact, error) {
	c.normalise()
	if err := c.validate(); err != nil {
		return c, fail("contact", err)
	}
	change := Change{Kind: "contact", Action: Created}
	var keyID int64
	var err error
	if c.ID.IsZero() {
		c.ID = conversation.NewID[conversation.ContactID]()
		keyID, err = e.d.vault.Assign()
	} else {
		var old Contact
		if old, keyID, err = e.d.contact(e.ctx, e.tx, c.ID); err == nil {
			change.Action = Updated
			var text []byte
			if text, err = json.Marshal(c); err == nil {
				change.Fields, err = differing(old, text)
			}
		}
	}
	if err != nil {
		return c, fail("contact", err)
	}
	change.ID = c.ID.String()
	if change.Action == Updated && len(change.Fields) == 0 {
		return c, nil
	}
	if err := e.saveContact(c, keyID); err != nil {
		return c, fail("contact", err)
	}
	e.note(change)
	return c, nil
}

func (e *editor) saveContact(c Contact, keyID int64) error {
	plain, err := json.Marshal(c)
	if err != nil {
		return err
	}
	sealed, err := e.d.vault.Seal(keyID, contactAAD(c.ID), plain)
	if err != nil {
		return err
	}
	_, err = e.tx.ExecContext(e.ctx, `INSERT INTO contacts (id, key_id, sealed, updated_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET sealed = excluded.sealed, updated_at = excluded.updated_at`,
		c.ID, keyID, sealed, e.d.now().UnixMilli())
	if err != nil {
		return err
	}
	if _, err := e.tx.ExecContext(e.ctx, `DELETE FROM contact_addresses WHERE contact = $1`, c.ID); err != nil {
		return err
	}
	for _, a := range c.Addresses {
		_, err := e.tx.ExecContext(e.ctx, `INSERT INTO contact_addresses (address, contact) VALUES ($1, $2)
ON CONFLICT (address, contact) DO NOTHING`, e.d.addressKey(a), c.ID)
		if err != nil {
			return err
		}
	}
	return nil
}

// ContactByAddress finds the contact that has an address; zero when no contact or more than one has
// it.
func (d *Directory) ContactByAddress(ctx context.Context, address string) (conversation.ContactID, error) {
	n, ok := NormaliseAddress(address)
	if !ok {
		return conversation.ContactID{}, nil
	}
	ids, err := d.scanContactIDs(d.byAddress.QueryContext(ctx, d.addressKey(n)))
	if err != nil {
		return conversation.ContactID{}, fmt.Errorf("directory: find contact: %w", err)
	}
	if len(ids) != 1 {
		return conversation.ContactID{}, nil
	}
	return ids[0], nil
}
