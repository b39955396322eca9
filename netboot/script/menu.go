package script

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Menu is what somebody at the PC may choose from. Its texts are sanitized when it is shown.
type Menu struct {
	Title   string
	Timeout time.Duration // after which the first entry is taken, unless a key was pressed; 0 waits for ever
	Entries []Entry       // at least one
	// PasswordHash must be met for admin entries, in GRUB's form (grub.pbkdf2.sha512.ITERATIONS.SALT.HASH); empty: they need none.
	PasswordHash string
}

// An Entry is a line of a Menu.
type Entry struct {
	ID    string // letters, digits and hyphens; EntryDisk, or what the loader sends to the server when it is chosen
	Label string
	Admin bool // asks for the password
}

// EntryDisk boots the PC's own disk and is carried out by the loader itself. On UEFI the loader adds an entry for each system that it finds on the
// disks.
const EntryDisk = "disk"

// MenuUser is the name to type with the password in GRUB, which wants one.
const MenuUser = "aula"

// longestID bounds an Entry's ID.
const longestID = 64

// IsID tells whether a text may be the ID of an Entry.
func IsID(text string) bool {
	return text != "" && len(text) <= longestID && !strings.ContainsFunc(text, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '-')
	})
}

// A menuPage is what the templates of a menu see.
type menuPage struct {
	PC
	Menu
	FirstID string
}

// Seconds is the time-out as GRUB wants it, where -1 is none.
func (m menuPage) Seconds() int {
	if m.Timeout <= 0 {
		return -1
	}
	return max(1, int(m.Timeout.Round(time.Second)/time.Second))
}

// Milliseconds is the time-out as iPXE wants it, where 0 is none.
func (m menuPage) Milliseconds() int64 { return max(0, m.Timeout.Milliseconds()) }

// Locked tells whether an entry asks for the password.
func (m menuPage) Locked(e Entry) bool { return e.Admin && m.PasswordHash != "" }

// User is the name to type.
func (m menuPage) User() string { return MenuUser }

// ShowMenu lets somebody choose.
func ShowMenu(l Loader, p PC, m Menu) (string, error) {
	if err := m.check(); err != nil {
		return "", err
	}
	page := menuPage{PC: p, Menu: m, FirstID: m.Entries[0].ID}
	page.Title = strings.TrimLeft(Sanitize(m.Title), "- ")
	page.Entries = nil
	for _, e := range m.Entries {
		e.Label = strings.TrimLeft(Sanitize(e.Label), "- ") // no option of the command
		page.Entries = append(page.Entries, e)
	}
	return render(menu, l, page)
}

// check makes sure that the loaders understand the menu, and nothing more than it.
func (m Menu) check() error {
	if len(m.Entries) == 0 {
		return errors.New("the menu has no entries")
	}
	seen := map[string]bool{}
	for _, e := range m.Entries {
		if !IsID(e.ID) || seen[e.ID] {
			return fmt.Errorf("the menu has an entry with the id %q, which is used twice or has other characters than letters, digits and hyphens", e.ID)
		}
		seen[e.ID] = true
	}
	if m.PasswordHash != "" && (!Plain(m.PasswordHash) || !strings.HasPrefix(m.PasswordHash, hashPrefix) || strings.Contains(m.PasswordHash, " ")) {
		return errors.New("the hash of the menu's password is none of GRUB's: set the password again")
	}
	return nil
}
