package catalog

import (
	"errors"
	"fmt"
	"time"

	bolt "go.etcd.io/bbolt"
)

// What PCs boot from the network. An empty choice leaves it to the next of: PC once, PC, group, classroom, all.
const (
	BootClientOS = "client" // the client OS
	BootDisk     = "disk"   // its own disk
	BootMenu     = "menu"   // what somebody chooses at the PC
	BootNothing  = "none"   // it is left alone; only for PCs that nobody accepted
)

// BootSettings are what all PCs have in common.
type BootSettings struct {
	// Accepted is what PCs of classrooms boot that have no work, when nothing nearer to them says otherwise: BootDisk when empty.
	Accepted string `json:"accepted,omitempty"`
	// Unknown is what PCs boot that nobody has accepted: BootClientOS when empty, so that they can introduce themselves.
	Unknown string `json:"unknown,omitempty"`
	// UnknownAssumed says, in an answer, that nobody has chosen what Unknown is.
	UnknownAssumed bool         `json:"-"`
	Menu           MenuSettings `json:"menu,omitzero"`
	// Mode is that of DHCP, a netboot.Mode, when the configuration leaves it to the console; empty: auto.
	Mode string `json:"mode,omitempty"`
	// LeaseConsent says that the operator has agreed that addresses are leased, when no other DHCP server was to be found.
	LeaseConsent bool `json:"leaseConsent,omitempty"`
}

// MenuSettings are those of the menu at the PC.
type MenuSettings struct {
	// Seconds after which the PC boots its own disk: 10 when zero, at most MaxMenuSeconds; negative waits for ever.
	Seconds int `json:"seconds,omitempty"`
	// PasswordHash is that of the password for the admin entries, in GRUB's form; empty: they need none.
	PasswordHash string `json:"passwordHash,omitempty"`
}

// MaxMenuSeconds bounds the time-out of the menu.
const MaxMenuSeconds = 3600

// MenuTimeout is how long the menu waits; 0 for ever.
func (s BootSettings) MenuTimeout() time.Duration {
	const usual = 10
	switch {
	case s.Menu.Seconds < 0:
		return 0
	case s.Menu.Seconds == 0:
		return usual * time.Second
	}
	return time.Duration(s.Menu.Seconds) * time.Second
}

var bootKey = []byte("boot")

// BootSettings returns those that there are, with their defaults filled in.
func (c *Catalog) BootSettings() (BootSettings, error) {
	var s BootSettings
	err := c.db.View(func(tx *bolt.Tx) (err error) {
		s, err = getBootSettings(tx)
		return err
	})
	if s.Accepted == "" {
		s.Accepted = BootDisk
	}
	if s.Unknown == "" {
		s.Unknown, s.UnknownAssumed = BootClientOS, true
	}
	return s, err
}

func getBootSettings(tx *bolt.Tx) (BootSettings, error) {
	s, err := get[BootSettings](tx, settingsBucket, string(bootKey))
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return s, err
}

// ChangeBootSettings changes them by edit, which gets them as they are kept and may be called more than once.
func (c *Catalog) ChangeBootSettings(edit func(*BootSettings)) error {
	return c.change(func(tx *bolt.Tx) error {
		s, err := getBootSettings(tx)
		if err != nil {
			return err
		}
		edit(&s)
		if err := s.check(); err != nil {
			return err
		}
		return put(tx, settingsBucket, string(bootKey), s)
	})
}

func (s BootSettings) check() error {
	if err := checkBoot("accepted PCs", s.Accepted); err != nil {
		return err
	}
	if s.Unknown != BootNothing {
		if err := checkBoot("PCs that nobody accepted", s.Unknown); err != nil {
			return err
		}
	}
	if m := s.Mode; m != "" && m != "auto" && m != "full" && m != "proxy" {
		return fmt.Errorf("mode of DHCP: %w: %.40q (choose auto, full or proxy)", ErrInvalid, m)
	}
	if s.Menu.Seconds > MaxMenuSeconds {
		return fmt.Errorf("time-out of the boot menu: %w: %d s (give at most %d, or -1 to wait for ever)", ErrInvalid, s.Menu.Seconds, MaxMenuSeconds)
	}
	return nil
}

// checkBoot returns ErrInvalid when target is nothing that PCs can be told to boot. Empty is allowed.
func checkBoot(whose, target string) error {
	switch target {
	case "", BootClientOS, BootDisk, BootMenu:
		return nil
	}
	return fmt.Errorf("boot of %s: %w: %.40q (choose %s, %s or %s)", whose, ErrInvalid, target, BootClientOS, BootDisk, BootMenu)
}

// editComputers changes what is in no index of computers.
func editComputers(tx *bolt.Tx, ids []string, edit func(*Computer) error) error {
	for _, id := range ids {
		pc, err := getComputer(tx, id)
		if err != nil {
			return err
		}
		if err := edit(&pc); err != nil {
			return err
		}
		if err := put(tx, computersBucket, id, pc); err != nil {
			return err
		}
	}
	return nil
}

// SetClassroomBoot says what the PCs of a classroom always boot; empty: what all do.
func (c *Catalog) SetClassroomBoot(id, target string) error {
	if err := checkBoot("the classroom", target); err != nil {
		return err
	}
	return c.change(func(tx *bolt.Tx) error {
		room, err := getClassroom(tx, id)
		if err != nil {
			return err
		}
		room.Boot = target
		return put(tx, classroomsBucket, id, room)
	})
}

// SetBoot says what computers always boot; empty: what their group or classroom does. All of them, or none of them.
func (c *Catalog) SetBoot(target string, computerIDs ...string) error {
	if err := checkBoot("the PC", target); err != nil {
		return err
	}
	return c.change(func(tx *bolt.Tx) error {
		return editComputers(tx, computerIDs, func(pc *Computer) error { pc.Boot = target; return nil })
	})
}

// SetNextBoot says what a computer boots next, once; empty: what it always does.
func (c *Catalog) SetNextBoot(id, target string) error { return c.SetNextBoots(target, id) }

// SetNextBoots is SetNextBoot for several: all of them, or none of them.
func (c *Catalog) SetNextBoots(target string, computerIDs ...string) error {
	if err := checkBoot("the PC", target); err != nil {
		return err
	}
	return c.change(func(tx *bolt.Tx) error {
		return editComputers(tx, computerIDs, func(pc *Computer) error { pc.NextBoot = target; return nil })
	})
}

// TakeNextBoot forgets what a computer boots once, when it is what the caller has read.
func (c *Catalog) TakeNextBoot(id, read string) error {
	if read == "" {
		return nil
	}
	return c.changeTogether(func(tx *bolt.Tx) error {
		pc, err := getComputer(tx, id)
		if err != nil || pc.NextBoot != read {
			return err
		}
		pc.NextBoot = ""
		return put(tx, computersBucket, id, pc)
	})
}

// BootOf tells what a computer without work boots by its own choices and those of its group, its classroom and all, and which of them it is, for people.
func (c *Catalog) BootOf(pc Computer) (target, why string, err error) {
	if pc.NextBoot != "" {
		return pc.NextBoot, "chosen for once", nil
	}
	settings, err := c.BootSettings()
	switch {
	case err != nil:
		return "", "", err
	case pc.State != Accepted:
		return settings.Unknown, "nobody has accepted it into a classroom", nil
	case pc.Boot != "":
		return pc.Boot, "chosen for this PC", nil
	}
	target, why = settings.Accepted, "usual for PCs without work"
	err = c.db.View(func(tx *bolt.Tx) error {
		if pc.GroupID != "" {
			g, err := get[Group](tx, groupsBucket, pc.GroupID)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			if g.Boot != "" {
				target, why = g.Boot, fmt.Sprintf("chosen for the group %s", g.Name)
				return nil
			}
		}
		room, err := getClassroom(tx, pc.ClassroomID)
		if err == nil && room.Boot != "" {
			target, why = room.Boot, fmt.Sprintf("chosen for the classroom %s", room.Name)
		}
		return err
	})
	return target, why, err
}
