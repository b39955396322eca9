package boot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"aula/appliance/catalog"
	"aula/netboot"
	"aula/netboot/quirk"
	"aula/netboot/script"
)

// facts are what the catalog says of a network card.
type facts struct {
	generation uint64
	computer   catalog.Computer // zero when nobody knows the card
	classroom  string
	target     string // without work
	why        string
	assumed    bool // nobody chose the target
	quirks     quirk.Set
}

func (f *facts) accepted() bool { return f.computer.State == catalog.Accepted }

// of returns the facts of a network card. They are read anew after each change of the catalog.
func (s *Service) of(mac string) (*facts, error) {
	generation := s.generation.Load()
	s.mu.Lock()
	known := s.pc(mac).facts
	s.mu.Unlock()
	if known != nil && known.generation == generation {
		return known, nil
	}
	f, err := s.read(mac)
	if err != nil {
		return nil, err
	}
	f.generation = generation
	s.mu.Lock()
	s.pc(mac).facts = f
	s.mu.Unlock()
	return f, nil
}

func (s *Service) read(mac string) (*facts, error) {
	f := &facts{}
	var err error
	f.computer, err = s.cfg.Catalog.ComputerByMAC(mac)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) && !errors.Is(err, catalog.ErrInvalid) {
		return nil, err
	}
	if f.quirks, err = s.cfg.Catalog.QuirksOf(mac); err != nil {
		return nil, err
	}
	if f.accepted() {
		room, err := s.cfg.Catalog.Classroom(f.computer.ClassroomID)
		if err != nil {
			return nil, err
		}
		f.classroom = room.Name
	}
	if f.target, f.why, err = s.cfg.Catalog.BootOf(f.computer); err != nil || f.accepted() {
		return f, err
	}
	settings, err := s.cfg.Catalog.BootSettings()
	f.assumed = settings.UnknownAssumed
	return f, err
}

// Known implements netboot.Decider: a PC that was accepted.
func (s *Service) Known(mac string) bool {
	f, err := s.of(mac)
	return err == nil && f.accepted()
}

// Plan implements netboot.Decider.
func (s *Service) Plan(c netboot.Client) netboot.Plan {
	f, err := s.of(c.MAC)
	if err != nil {
		s.cfg.Log.Error("what a PC boots cannot be read, so it boots the client OS", "mac", c.MAC, "error", err)
		return netboot.Plan{Target: netboot.BootClientOS, Why: "the catalog cannot be read"}
	}
	target, why := s.target(c, f)
	return netboot.Plan{Target: target, Quirks: f.quirks, Why: why, Assumed: f.assumed}
}

// target tells what a PC boots now, and why. What is chosen for once goes before work: that is how work has a PC boot its own disk.
func (s *Service) target(c netboot.Client, f *facts) (target, why string) {
	busy := f.accepted() && s.cfg.Busy(f.computer.ID)
	switch {
	case s.sentAway(c, f, busy):
		return netboot.BootDisk, "it was told so a moment ago"
	case s.broken(c.MAC, busy):
		return netboot.BootDisk, whyBroken
	case f.computer.NextBoot == "" && busy:
		return netboot.BootClientOS, "it has work"
	}
	return f.target, f.why
}

// Told implements netboot.Decider. A PC that is told to boot its own disk asks no more: what was chosen for once is used up.
func (s *Service) Told(c netboot.Client, p netboot.Plan) {
	f, err := s.of(c.MAC)
	if err == nil && p.Target == netboot.BootDisk && f.computer.NextBoot == catalog.BootDisk {
		s.useUp(c.MAC, f)
	}
	s.told(c, p.Target, p.Why)
}

// useUp forgets that a PC was to boot its own disk once, now that DHCP has told it.
func (s *Service) useUp(mac string, f *facts) {
	s.mu.Lock()
	s.pc(mac).away = dismissal{at: s.cfg.Now(), busy: f.accepted() && s.cfg.Busy(f.computer.ID)}
	s.mu.Unlock()
	s.later(func() {
		if err := s.cfg.Catalog.TakeNextBoot(f.computer.ID, catalog.BootDisk); err != nil {
			s.cfg.Log.Error("what a PC was to boot once is not forgotten, so it boots it again", "mac", mac, "error", err)
		}
	})
}

// awayTime is for how long a UEFI PC that was told to boot its own disk once is told so again: it may have several entries for the network, for PXE and HTTP and of each
// card, and asks by each of them before it comes to the disk. BIOS has one.
const awayTime = time.Minute

// sentAway tells whether a PC was told to boot its own disk a moment ago, by any of its network cards, and has got no work since.
func (s *Service) sentAway(c netboot.Client, f *facts, busy bool) bool {
	if c.Firmware == netboot.BIOS {
		return false
	}
	macs := f.computer.MACs
	if len(macs) == 0 {
		macs = []string{c.MAC}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range macs {
		if p, ok := s.pcs[m]; ok && !p.away.at.IsZero() && s.cfg.Now().Sub(p.away.at) < awayTime && (!busy || p.away.busy) {
			return true
		}
	}
	return false
}

// Learn implements netboot.Decider.
func (s *Service) Learn(mac string, q quirk.Quirk, why string) {
	s.cfg.Log.Info("a quirk was found", "mac", mac, "quirk", q, "why", why)
	s.later(func() {
		all, err := s.cfg.Catalog.QuirksOf(mac)
		if err == nil && !all.Has(q) {
			err = s.cfg.Catalog.SetQuirks(mac, append(all, q))
		}
		if err != nil {
			s.cfg.Log.Error("the quirk of a PC is not remembered", "mac", mac, "quirk", q, "error", err)
		}
	})
}

// later has Run do what waits for the disk, for callers that must not. What does not fit is lost, and said.
func (s *Service) later(f func()) {
	select {
	case s.errands <- f:
	default:
		s.cfg.Log.Error("the catalog is too slow: a change that a boot brought was lost")
	}
}

// menuTime is for how long a choice from a menu is accepted after it was shown.
const menuTime = 2 * time.Hour

// errPassword is told to whoever chose an admin entry.
var errPassword = errors.New("the password is wrong")

// Decide implements netboot.Decider.
func (s *Service) Decide(_ context.Context, c netboot.Client) (netboot.Boot, error) {
	f, err := s.of(c.MAC)
	if err != nil {
		return netboot.Boot{}, fmt.Errorf("what %s boots: %w", c.MAC, err)
	}
	target, why := s.target(c, f)
	switch again, ok := s.repeated(c); {
	case c.Choice != "":
		if target, why, err = s.chosen(c, f); err != nil {
			return netboot.Boot{}, err
		}
	case ok:
		target, why = again, "chosen for once"
	}
	if target == netboot.BootClientOS && !c.Again && s.loops(c.MAC, f) {
		target, why = netboot.BootDisk, whyBroken
	}
	boot := netboot.Boot{Target: target, Quirks: f.quirks}
	switch target {
	case netboot.BootClientOS:
		boot.Ticket, err = s.cfg.Tickets.IssueTicket(c.MAC, c.Address)
	case netboot.BootMenu:
		boot.Menu, err = s.menu(c, f)
	case netboot.BootNothing: // somebody started the loader by hand
		boot.Target = netboot.BootDisk
	}
	if err == nil && c.Choice == "" && why != whyBroken {
		err = s.takeOnce(c.MAC, f)
	}
	if err != nil {
		return netboot.Boot{}, fmt.Errorf("what %s boots: %w", c.MAC, err)
	}
	s.decided(c, boot.Target, why)
	s.recognise(c)
	return boot, nil
}

// recognise tells of a network card with which several PCs boot, such as a USB adapter that goes around. All of them are taken for the PC that has the card's address.
func (s *Service) recognise(c netboot.Client) {
	uuid := strings.ToLower(c.UUID)
	if !catalog.IsRealUUID(uuid) {
		return
	}
	s.mu.Lock()
	p := s.pc(c.MAC)
	before := p.uuid
	p.uuid = uuid
	s.mu.Unlock()
	if before != "" && before != uuid {
		s.Notify(netboot.Notice{Key: "shared:" + c.MAC, Level: netboot.Warning, MAC: c.MAC, Text: fmt.Sprintf(
			"Two PCs boot with the network card %s (a USB adapter or a dock?): Aula takes them for one. Give each a card of its own, or boot them one after the other and look at which it is.", c.MAC)})
	}
}

// onceTime is for how long a PC that asks again is told what it was to boot once.
const onceTime = 5 * time.Minute

// takeOnce uses up what a PC was to boot once, now that it is told.
func (s *Service) takeOnce(mac string, f *facts) error {
	if f.computer.NextBoot == "" {
		return nil
	}
	if err := s.cfg.Catalog.TakeNextBoot(f.computer.ID, f.computer.NextBoot); err != nil {
		return err
	}
	s.mu.Lock()
	s.pc(mac).once = usedUp{f.computer.NextBoot, s.cfg.Now()}
	s.mu.Unlock()
	return nil
}

// repeated tells what a PC was to boot once that asks again because it could not.
func (s *Service) repeated(c netboot.Client) (target string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	once := s.pc(c.MAC).once
	return once.target, c.Again && once.target != "" && s.cfg.Now().Sub(once.at) < onceTime
}

// menu makes what somebody at the PC may choose from.
func (s *Service) menu(c netboot.Client, f *facts) (script.Menu, error) {
	settings, err := s.cfg.Catalog.BootSettings()
	if err != nil {
		return script.Menu{}, err
	}
	m := menuOf(f.computer, f.classroom, c.Firmware, s.cfg.StartSystem != nil)
	m.Timeout, m.PasswordHash = settings.MenuTimeout(), settings.Menu.PasswordHash
	s.mu.Lock()
	s.pc(c.MAC).menu = s.cfg.Now()
	s.mu.Unlock()
	return m, nil
}

// chosen tells what was chosen from the menu. A choice without a menu that was shown before is none.
func (s *Service) chosen(c netboot.Client, f *facts) (target, why string, err error) {
	s.mu.Lock()
	shown := s.pc(c.MAC).menu
	s.mu.Unlock()
	if shown.IsZero() || s.cfg.Now().Sub(shown) > menuTime {
		return "", "", errors.New("no menu was shown, so nothing can be chosen: start the PC again")
	}
	if c.Choice == script.EntryDisk {
		return netboot.BootDisk, "chosen at the PC", nil
	}
	if err := s.admit(c); err != nil {
		return "", "", err
	}
	if disk, partition, ok := systemOf(c.Choice); ok && s.cfg.StartSystem != nil && f.accepted() {
		if err := s.cfg.StartSystem(f.computer.ID, disk, partition); err != nil {
			return "", "", err
		}
		return netboot.BootClientOS, fmt.Sprintf("disk %d, partition %d was chosen at the PC", disk, partition), nil
	}
	if c.Choice != entryClient {
		return "", "", fmt.Errorf("the menu has no entry %q: start the PC again", c.Choice)
	}
	return netboot.BootClientOS, "chosen at the PC", nil
}

// Wrong passwords of a PC's menu that are looked at within a minute.
const (
	mostGuesses = 5
	guessTime   = time.Minute
)

// admit checks the password of an admin entry. GRUB has checked it itself, and tells none.
func (s *Service) admit(c netboot.Client) error {
	settings, err := s.cfg.Catalog.BootSettings()
	if err != nil {
		return err
	}
	if _, _, system := systemOf(c.Choice); system || settings.Menu.PasswordHash == "" || c.PasswordChecked {
		return nil
	}
	now := s.cfg.Now()
	s.mu.Lock()
	p := s.pc(c.MAC)
	p.guesses = slices.DeleteFunc(p.guesses, func(t time.Time) bool { return now.Sub(t) >= guessTime })
	guesses := len(p.guesses)
	if guesses < mostGuesses {
		p.guesses = append(p.guesses, now)
	}
	s.mu.Unlock()
	switch {
	case guesses >= mostGuesses:
		return errors.New("too many wrong passwords: wait a minute")
	case !script.CheckPassword(settings.Menu.PasswordHash, c.Password):
		return errPassword
	}
	s.mu.Lock()
	p.guesses = nil
	s.mu.Unlock()
	return nil
}

// Mode is that of DHCP which the operator chose; empty without a choice.
func (s *Service) Mode() (string, error) {
	settings, err := s.cfg.Catalog.BootSettings()
	return settings.Mode, err
}

// Given implements netboot.Consent.
func (s *Service) Given() bool {
	settings, err := s.cfg.Catalog.BootSettings()
	return err == nil && settings.LeaseConsent
}

// Withdraw implements netboot.Consent.
func (s *Service) Withdraw() error {
	return s.cfg.Catalog.ChangeBootSettings(func(b *catalog.BootSettings) { b.LeaseConsent = false })
}
