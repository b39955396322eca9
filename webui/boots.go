package webui

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"aula/appliance/boot"
	"aula/appliance/catalog"
	"aula/netboot"
)

// How a boot looks: a strip of its steps, and a row of a list.

// A bootView is one boot of a PC.
type bootView struct {
	boot.Boot
	mark
	Key   string // data-live
	Title string // the PC's name, or its MAC
	Path  string // of the page about the PC's boots
	Room  string // id of the classroom, or unknownRoom
	Place string // classroom in words
	Kind  string // firmware in words
	Told  string // what it was told to boot, in words
	Total string // from its first packet to the last
	When  string // it began
	Strip []bootStep
}

// unknownRoom stands for PCs that nobody has accepted where the id of a classroom may stand.
const unknownRoom = "unknown"

// A bootStep is a step in the strip.
type bootStep struct {
	mark
	Name   string // netboot.StepDHCP ... boot.StepAgent, or the end of boots that go to no client OS
	Label  string
	Note   string // how long it took, or how far it is
	Detail string
	Began  time.Time
	Seen   bool
}

// bootOrder is the way of a boot to the client OS.
var bootOrder = []string{netboot.StepDHCP, netboot.StepLoader, netboot.StepScript, netboot.StepKernel, netboot.StepInitramfs, boot.StepAgent}

// stepEnd is the last step of a boot that goes elsewhere.
const stepEnd = "end"

// A bootPlace is where a PC belongs.
type bootPlace struct {
	name, room, place string
	accepted          bool
}

// bootPlaces finds the place of each PC of the catalog.
func (s *Server) bootPlaces() (map[string]bootPlace, error) {
	computers, err := s.cfg.Catalog.Computers()
	if err != nil {
		return nil, err
	}
	rooms, err := s.cfg.Catalog.Classrooms()
	if err != nil {
		return nil, err
	}
	names := map[string]string{}
	for _, r := range rooms {
		names[r.ID] = r.Name
	}
	places := make(map[string]bootPlace, len(computers))
	for _, pc := range computers {
		if pc.State == catalog.Accepted {
			places[pc.ID] = bootPlace{pc.Name, pc.ClassroomID, names[pc.ClassroomID], true}
		}
	}
	return places, nil
}

// viewBoot is a boot as the console shows it; of a PC that is in no classroom the MAC stands for its name.
func viewBoot(b boot.Boot, places map[string]bootPlace) bootView {
	v := bootView{
		Boot: b, mark: bootMark(b), Key: "boot-" + b.MAC, Title: b.MAC, Path: "/boot/" + b.MAC, Room: unknownRoom, Place: "unknown PC",
		Kind: firmwareOf(b), Told: targetWords[b.Target], Strip: stripOf(b),
	}
	if p := places[b.ComputerID]; p.accepted {
		v.Title, v.Room, v.Place = p.name, p.room, p.place
	} else if b.ComputerID != "" {
		v.Place = "pending"
	}
	v.Total, v.When = briefly(bootLast(b).Sub(b.Began)), "from "+timeOfDay(b.Began)
	return v
}

// bootLast is when a boot was heard of last.
func bootLast(b boot.Boot) time.Time {
	last := b.Began
	for _, s := range b.Steps {
		if s.Last.After(last) {
			last = s.Last
		}
	}
	if b.State == boot.Arrived && b.Ended.After(last) {
		last = b.Ended
	}
	return last
}

func bootMark(b boot.Boot) mark {
	switch b.State {
	case boot.Stopped:
		return mark{toneBad, "cross", "Stopped"}
	case boot.Arrived:
		switch b.Target {
		case netboot.BootDisk:
			return mark{toneGood, "disk", "At its disk"}
		case netboot.BootMenu:
			return mark{toneGood, "work", "In the menu"}
		}
		return mark{toneGood, "check", "Arrived"}
	}
	return mark{toneWork, "run", "Under way"}
}

// firmwareOf names what starts the PC; what is not known is named by what the PC said.
func firmwareOf(b boot.Boot) string {
	word := cmp.Or(firmwareWords[b.Firmware], string(b.Firmware), "firmware not known")
	if b.HTTP {
		word += " HTTP Boot"
	}
	if b.IPXE {
		word += ", iPXE"
	}
	return word
}

// stripOf is the way of a boot: the steps that were seen, and those that are still to come.
func stripOf(b boot.Boot) []bootStep {
	seen := map[string]boot.Step{}
	last := -1 // place of the last step that was seen
	answered := true
	for _, s := range b.Steps {
		seen[s.Name] = s
		if at := slices.Index(bootOrder, s.Name); at >= last {
			last, answered = at, s.Phase == netboot.Answered
		}
	}
	short := b.Target == netboot.BootDisk || b.Target == netboot.BootMenu
	var strip []bootStep
	var before time.Time
	for i, name := range bootOrder {
		s, ok := seen[name]
		if short && !ok && (i > last || b.State == boot.Arrived) {
			continue
		}
		step := bootStep{Name: name, Label: stepLabels[name], Detail: s.Detail, Began: s.Began, Seen: ok}
		switch {
		case ok:
			step.mark, step.Note = seenStep(b, s, i == last, before)
			before = s.Last
		case i == last+1 && answered:
			step.mark, step.Note = nextStep(b)
		case i < last:
			step.mark, step.Note = mark{toneIdle, "dash", "Skipped"}, "not needed"
		default:
			step.mark = mark{toneIdle, "off", "Not yet"}
			if b.State == boot.Stopped {
				step.mark.Word = "Not reached"
			}
		}
		strip = append(strip, step)
	}
	if short {
		strip = append(strip, endStep(b))
	}
	return strip
}

// endStep is where a boot goes that does not go to the client OS.
func endStep(b boot.Boot) bootStep {
	step := bootStep{Name: stepEnd, Label: "Own disk"}
	if b.Target == netboot.BootMenu {
		step.Label = "Menu"
	}
	switch b.State {
	case boot.Arrived:
		step.mark, step.Note = mark{toneGood, "check", "There"}, "there"
	default:
		step.mark, step.Note = nextStep(b)
	}
	return step
}

// nextStep is the mark of the step that would come next.
func nextStep(b boot.Boot) (mark, string) {
	if b.State == boot.Stopped {
		return mark{toneWarn, "off", "Never came"}, "never came"
	}
	return mark{toneIdle, "clock", "Awaited"}, "awaited"
}

func seenStep(b boot.Boot, s boot.Step, last bool, before time.Time) (mark, string) {
	took := s.Took()
	if s.Name == boot.StepAgent && took <= 0 && !before.IsZero() {
		took = s.Last.Sub(before) // the client OS has started in the meantime
	}
	switch s.Phase {
	case netboot.Failed:
		return mark{toneBad, "cross", "Failed"}, "failed"
	case netboot.Answered:
		return mark{toneGood, "check", "Answered"}, briefly(took)
	}
	again := ""
	if s.Times > 1 {
		again = fmt.Sprintf(" %d times", s.Times)
	}
	switch {
	case last && b.State == boot.Stopped:
		return mark{toneBad, "cross", "Stopped here"}, "asked" + again
	case s.Size > 0 && s.Bytes > 0:
		return mark{toneWork, "down", "Asked"}, percentText(percent(s.Bytes, s.Size))
	case !last: // whatever was not answered, the PC went on
		return mark{toneIdle, "dash", "Asked"}, "asked" + again
	}
	return mark{toneWork, "run", "Asked"}, "asked" + again
}

func (v bootView) shape() string {
	var steps strings.Builder
	for _, s := range v.Strip {
		fmt.Fprintln(&steps, s.Name, s.mark, s.Detail)
	}
	return fmt.Sprint(v.mark, v.Title, v.Room, v.Place, v.Kind, v.Told, v.Why, v.Address, v.Relay, v.Began, v.Reason, steps.String())
}

func (v bootView) fields() map[string]string {
	all := map[string]string{"total": v.Total}
	for _, s := range v.Strip {
		all[s.Name] = s.Note
	}
	return all
}

// past makes the view that of a boot before the last, which the live stream leaves alone.
func (v bootView) past() bootView {
	v.Key += fmt.Sprintf("-%d", v.Began.UnixMilli())
	v.When = moment(v.Began)
	return v
}

// Group is the list of the page to which the boot belongs.
func (v bootView) Group() string { return bootGroup(v.State) }

func bootGroup(state string) string {
	switch state {
	case boot.Stopped, boot.Arrived:
		return state
	}
	return boot.Underway
}

// Facts are where it is and how it starts, in one line.
func (v bootView) Facts() string {
	facts := []string{v.Place}
	if v.Title != v.MAC {
		facts = append(facts, v.MAC)
	}
	if v.Address.IsValid() && !v.Address.IsUnspecified() {
		facts = append(facts, v.Address.String())
	}
	if v.Relay.IsValid() && !v.Relay.IsUnspecified() {
		facts = append(facts, "by relay "+v.Relay.String())
	}
	return strings.Join(append(facts, v.Kind), " · ")
}

// Sent is "Told to boot: own disk (nothing else is chosen for it)".
func (v bootView) Sent() string {
	switch {
	case v.Told == "" && v.Why == "":
		return ""
	case v.Told == "":
		return v.Why
	case v.Why == "":
		return "Told to boot: " + v.Told
	}
	return "Told to boot: " + v.Told + " (" + v.Why + ")"
}

// briefly writes how long a step took: they differ by milliseconds and by minutes.
func briefly(d time.Duration) string {
	switch {
	case d < 0:
		return "0 ms"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 9950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return took(d)
}

// A bootList is one of the groups of the page.
type bootList struct {
	State string
	Title string
	Rows  []bootView
}

// bootLists puts the boots that are asked for into their groups, those that stopped first.
func bootLists(all []bootView, room, state string) []bootList {
	lists := []bootList{{State: boot.Stopped, Title: "Stopped"}, {State: boot.Underway, Title: "Under way"}, {State: boot.Arrived, Title: "Arrived"}}
	for i := range lists {
		for _, v := range all {
			if v.Group() == lists[i].State && (room == "" || room == v.Room) && (state == "" || state == v.Group()) {
				lists[i].Rows = append(lists[i].Rows, v)
			}
		}
	}
	return lists
}

// bootCount is how all stand, in a sentence without its full stop.
func bootCount(all []boot.Boot) string {
	by := map[string]int{}
	for _, b := range all {
		by[bootGroup(b.State)]++
	}
	var parts []string
	for _, p := range []struct{ state, word string }{{boot.Stopped, "stopped"}, {boot.Underway, "under way"}, {boot.Arrived, "arrived"}} {
		if n := by[p.state]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, p.word))
		}
	}
	if len(all) == 0 {
		return "No PC has booted from the network yet"
	}
	return count(len(all), "PC", "PCs") + ": " + strings.Join(parts, ", ")
}

// shownAddress is an address for people.
func shownAddress(a netip.Addr) string {
	if !a.IsValid() {
		return "–"
	}
	return a.String()
}
