package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"aula/netboot/quirk"
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
	Unknown string       `json:"unknown,omitempty"`
	Menu    MenuSettings `json:"menu,omitzero"`
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
		s.Unknown = BootClientOS
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

// A Group is some PCs of a classroom that have something in common, such as the teacher's, or a row.
type Group struct {
	ID          string `json:"id"`
	ClassroomID string `json:"classroomID"`
	Name        string `json:"name"`
	Boot        string `json:"boot,omitempty"` // what its PCs always boot; empty: what the classroom does
}

// maxGroups bounds the groups of a classroom.
const maxGroups = 100

// Groups returns all of a classroom, by name; of every classroom for "".
func (c *Catalog) Groups(classroomID string) ([]Group, error) {
	all, err := sorted(c, groupsBucket, func(a, b Group) int { return compareNatural(a.Name, b.Name) })
	return slices.DeleteFunc(all, func(g Group) bool { return classroomID != "" && g.ClassroomID != classroomID }), err
}

// AddGroup makes a group in a classroom; names are unique within it.
func (c *Catalog) AddGroup(classroomID, name string) (Group, error) {
	name, err := cleanName("group", name)
	if err != nil {
		return Group{}, err
	}
	g := Group{ID: newID(), ClassroomID: classroomID, Name: name}
	err = c.change(func(tx *bolt.Tx) error {
		if _, err := getClassroom(tx, classroomID); err != nil {
			return err
		}
		return putGroup(tx, g)
	})
	if err != nil {
		return Group{}, err
	}
	return g, nil
}

// RenameGroup renames one.
func (c *Catalog) RenameGroup(id, name string) error {
	name, err := cleanName("group", name)
	if err != nil {
		return err
	}
	return c.changeGroup(id, func(g *Group) { g.Name = name })
}

func (c *Catalog) changeGroup(id string, edit func(*Group)) error {
	return c.change(func(tx *bolt.Tx) error {
		g, err := find[Group](tx, groupsBucket, "group", id)
		if err != nil {
			return err
		}
		edit(&g)
		return putGroup(tx, g)
	})
}

func putGroup(tx *bolt.Tx, g Group) error {
	all, err := list[Group](tx, groupsBucket)
	if err != nil {
		return err
	}
	n := 0
	for _, other := range all {
		if other.ClassroomID != g.ClassroomID || other.ID == g.ID {
			continue
		}
		if n++; n >= maxGroups {
			return fmt.Errorf("group %q: %w: its classroom has %d (remove some first)", g.Name, ErrInvalid, n)
		}
		if fold(other.Name) == fold(g.Name) {
			return fmt.Errorf("group %q: %w in this classroom (choose another name)", other.Name, ErrExists)
		}
	}
	return put(tx, groupsBucket, g.ID, g)
}

// RemoveGroup removes a group; its PCs stay in the classroom.
func (c *Catalog) RemoveGroup(id string) error {
	return c.change(func(tx *bolt.Tx) error {
		if _, err := find[Group](tx, groupsBucket, "group", id); err != nil {
			return err
		}
		return removeGroup(tx, id)
	})
}

func removeGroup(tx *bolt.Tx, id string) error {
	pcs, err := list[Computer](tx, computersBucket)
	if err != nil {
		return err
	}
	for _, pc := range pcs {
		if pc.GroupID != id {
			continue
		}
		pc.GroupID = ""
		if err := put(tx, computersBucket, pc.ID, pc); err != nil {
			return err
		}
	}
	return tx.Bucket(groupsBucket).Delete([]byte(id))
}

// removeGroupsOf removes the groups of a classroom that is removed.
func removeGroupsOf(tx *bolt.Tx, classroomID string) error {
	all, err := list[Group](tx, groupsBucket)
	if err != nil {
		return err
	}
	for _, g := range all {
		if g.ClassroomID == classroomID {
			if err := removeGroup(tx, g.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// SetGroup puts computers into a group of their classroom, or into none for "": all of them, or none of them.
func (c *Catalog) SetGroup(groupID string, computerIDs ...string) error {
	return c.change(func(tx *bolt.Tx) error {
		var g Group
		if groupID != "" {
			var err error
			if g, err = find[Group](tx, groupsBucket, "group", groupID); err != nil {
				return err
			}
		}
		return editComputers(tx, computerIDs, func(pc *Computer) error {
			if groupID != "" && pc.ClassroomID != g.ClassroomID {
				return fmt.Errorf("computer %q: %w: it is not in the classroom of group %q (move it there first)", pc.Name, ErrInvalid, g.Name)
			}
			pc.GroupID = groupID
			return nil
		})
	})
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

// SetGroupBoot says what the PCs of a group always boot; empty: what the classroom does.
func (c *Catalog) SetGroupBoot(id, target string) error {
	if err := checkBoot("the group", target); err != nil {
		return err
	}
	return c.changeGroup(id, func(g *Group) { g.Boot = target })
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

// BootOf tells what a computer without work boots by its own choices and those of its group, its classroom and all.
func (c *Catalog) BootOf(pc Computer) (string, error) {
	if pc.NextBoot != "" {
		return pc.NextBoot, nil
	}
	settings, err := c.BootSettings()
	if err != nil {
		return "", err
	}
	if pc.State != Accepted {
		return settings.Unknown, nil
	}
	if pc.Boot != "" {
		return pc.Boot, nil
	}
	target := settings.Accepted
	err = c.db.View(func(tx *bolt.Tx) error {
		if pc.GroupID != "" {
			g, err := get[Group](tx, groupsBucket, pc.GroupID)
			if err != nil && !errors.Is(err, ErrNotFound) {
				return err
			}
			if g.Boot != "" {
				target = g.Boot
				return nil
			}
		}
		room, err := getClassroom(tx, pc.ClassroomID)
		if err == nil && room.Boot != "" {
			target = room.Boot
		}
		return err
	})
	return target, err
}

// Reserve says which address DHCP always gives a computer; the zero address: any. No two computers can have the same.
func (c *Catalog) Reserve(id string, a netip.Addr) error {
	if a.IsValid() && (!a.Is4() || !a.IsGlobalUnicast()) {
		return fmt.Errorf("reserved address %s: %w (give an IPv4 address of the classroom's network)", a, ErrInvalid)
	}
	return c.change(func(tx *bolt.Tx) error {
		all, err := list[Computer](tx, computersBucket)
		if err != nil {
			return err
		}
		for _, pc := range all {
			if a.IsValid() && pc.ID != id && pc.Reserved == a {
				return fmt.Errorf("address %s: %w: it is reserved for computer %q (choose another)", a, ErrExists, pc.Name)
			}
		}
		return editComputers(tx, []string{id}, func(pc *Computer) error { pc.Reserved = a; return nil })
	})
}

// maxQuirkMACs bounds for how many MACs quirks are remembered.
const maxQuirkMACs = 4096

// Quirks returns what is remembered of all network cards, by MAC.
func (c *Catalog) Quirks() (map[string]quirk.Set, error) {
	all := map[string]quirk.Set{}
	err := c.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(quirksBucket).ForEach(func(mac, data []byte) error {
			var s quirk.Set
			err := json.Unmarshal(data, &s)
			all[string(mac)] = s
			return err
		})
	})
	return all, err
}

// SetQuirks remembers the quirks of a network card, in place of those before.
func (c *Catalog) SetQuirks(mac string, all quirk.Set) error {
	mac, err := cleanMAC(mac)
	if err != nil {
		return err
	}
	for _, q := range all {
		if err := quirk.Check(q); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	all = ordered(all)
	return c.change(func(tx *bolt.Tx) error {
		if len(all) == 0 {
			return tx.Bucket(quirksBucket).Delete([]byte(mac))
		}
		if tx.Bucket(quirksBucket).Get([]byte(mac)) == nil && tx.Bucket(quirksBucket).Stats().KeyN >= maxQuirkMACs {
			return fmt.Errorf("quirks of %s: %w: they are remembered for %d network cards (remove some first)", mac, ErrInvalid, maxQuirkMACs)
		}
		return put(tx, quirksBucket, mac, all)
	})
}
