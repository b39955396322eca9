package system

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/clientos/system/bootmenu"
)

// boot makes the PC start from the disk: by entries of the firmware's menu for the loaders of its EFI system partition, or by the active partition.
func (j *job) boot(ctx context.Context) {
	j.doing("making disk %d start", j.disk.Number)
	esp := slices.ContainsFunc(j.disk.Partitions, disk.Partition.ESP)
	var err error
	switch {
	case j.cfg.Firmware != "" && esp:
		err = j.writeMenu(ctx)
	case j.disk.Table == "dos":
		err = j.activate(ctx)
	case j.cfg.Firmware != "":
		err = &trouble{problem: fmt.Sprintf("disk %d has no EFI system partition", j.disk.Number),
			advice: "restore the image of the whole computer, or make an EFI system partition and restore its image as well"}
	}
	if err != nil && ctx.Err() == nil {
		j.warn(protocol.ErrGeneric, "the computer may not start from its disk", err)
	}
}

// activate sets the active flag of an MBR when no partition has it, on the first partition of the instruction that can (OpenGnsys, configureOs).
func (j *job) activate(ctx context.Context) error {
	if slices.ContainsFunc(j.disk.Partitions, func(p disk.Partition) bool { return p.Bootable }) {
		return nil
	}
	for _, p := range j.targets {
		if p.Number > 4 || p.Swap() || p.Extended() {
			continue
		}
		_, err := tool(context.WithoutCancel(ctx), maxDetail, "sfdisk", "--quiet", "--no-reread", "--no-tell-kernel",
			"--activate", j.disk.Path, strconv.Itoa(p.Number))
		if err == nil {
			j.note("partition %d is the active one now", p.Number)
		}
		return err
	}
	j.note("no partition of disk %d is active, and none that was restored can be: only the partitions 1 to 4 can", j.disk.Number)
	return nil
}

// writeMenu puts the loaders of the disk into the firmware's menu.
func (j *job) writeMenu(ctx context.Context) error {
	ids, err := j.places(ctx)
	if err != nil {
		return err
	}
	wanted, err := j.wantedBoots(ctx)
	if err != nil {
		return err
	}
	if len(wanted) == 0 {
		return &trouble{problem: fmt.Sprintf("the EFI system partition of disk %d holds no loader that is known", j.disk.Number),
			advice: "restore the image of the EFI system partition as well, or name the loader in the firmware's setup"}
	}
	menu, err := bootmenu.Read(j.cfg.Firmware)
	if err == nil {
		err = updateMenu(menu, j.disk.Number, ids, wanted)
	}
	if err != nil {
		return &trouble{problem: "the firmware's boot menu could not be changed", cause: err,
			advice: "make room in the firmware's setup by removing entries that start nothing, or choose the disk there"}
	}
	return nil
}

// A place is a partition of a disk of this PC, as the firmware names it.
type place struct {
	bootmenu.Place
	disk int
}

// places finds how the firmware names the partitions of all disks of the PC.
func (j *job) places(ctx context.Context) ([]place, error) {
	disks, err := j.cfg.Disks.Disks(ctx)
	if err != nil {
		return nil, err
	}
	var all []place
	for _, d := range disks {
		some, err := placesOf(ctx, d)
		if err != nil && d.Number == j.disk.Number {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

func placesOf(ctx context.Context, d disk.Disk) ([]place, error) {
	var all []place
	for _, p := range d.Partitions {
		if p.Extended() {
			continue
		}
		id, err := partitionID(ctx, d, p)
		if err != nil {
			return nil, err
		}
		sector := uint64(d.SectorSize)
		all = append(all, place{bootmenu.Place{Number: uint32(p.Number), Start: uint64(p.Start) / sector, Sectors: uint64(p.Bytes) / sector, ID: id}, d.Number})
	}
	return all, nil
}

func partitionID(ctx context.Context, d disk.Disk, p disk.Partition) (string, error) {
	if d.Table == "dos" {
		signature, err := strconv.ParseUint(d.TableID, 0, 32)
		if err != nil {
			return "", fmt.Errorf("disk %d has the signature %q", d.Number, d.TableID)
		}
		return bootmenu.DOS(uint32(signature), p.Number), nil
	}
	out, err := tool(ctx, maxDetail, "sfdisk", "--part-uuid", d.Path, strconv.Itoa(p.Number))
	return strings.ToUpper(strings.TrimSpace(string(out))), err
}

// updateMenu brings the menu to what is wanted: an entry for each loader; none of the same label for partitions that no disk of the PC has any more;
// and an order in which the network comes first, so that the room can go on being managed, then the disk, then the rest.
func updateMenu(m *bootmenu.Menu, number int, places []place, wanted []disk.BootEntry) error {
	var ours []uint16
	for _, w := range wanted {
		i := slices.IndexFunc(places, func(p place) bool { return p.disk == number && int(p.Number) == w.Partition })
		if i < 0 {
			continue
		}
		for _, n := range m.Numbers() {
			if o := m.Options[n]; o.Loader != "" && o.Label == w.Label && o.Disk.ID != "" && !anywhere(places, o.Disk.ID) {
				if err := m.Remove(n); err != nil {
					return err
				}
			}
		}
		n, err := entryFor(m, places[i].Place, w)
		if err != nil {
			return err
		}
		if !slices.Contains(ours, n) {
			ours = append(ours, n)
		}
	}
	return m.SetOrder(bootOrder(m, ours))
}

func anywhere(places []place, id string) bool {
	return slices.ContainsFunc(places, func(p place) bool { return strings.EqualFold(p.ID, id) })
}

// entryFor returns the number of an entry that starts the loader of the partition, and makes one when there is none.
func entryFor(m *bootmenu.Menu, at bootmenu.Place, w disk.BootEntry) (uint16, error) {
	for _, n := range m.Numbers() {
		if o := m.Options[n]; strings.EqualFold(o.Disk.ID, at.ID) && strings.EqualFold(o.Loader, w.Loader) {
			return n, m.Activate(n)
		}
	}
	return m.Add(bootmenu.Option{Attributes: bootmenu.Active, Label: w.Label, Disk: at, Loader: w.Loader})
}

// bootOrder puts the entry of the network first by which the PC came here, or the first that there is, then ours, then what else was in the order. More entries of
// the network come behind the disk: a PC that is told to go on to its disk would ask again by each of them, and wait a minute for IPv6 where nobody answers.
func bootOrder(m *bootmenu.Menu, ours []uint16) []uint16 {
	starts := func(n uint16) bool {
		o, known := m.Options[n]
		return known && isNetwork(o)
	}
	var network []uint16
	if i := slices.IndexFunc(m.Order, starts); i >= 0 {
		network = []uint16{m.Order[i]}
	}
	if m.HasCurrent && starts(m.Current) {
		network = []uint16{m.Current}
	}
	rest := slices.DeleteFunc(slices.Clone(m.Order), func(n uint16) bool { return slices.Contains(ours, n) || slices.Contains(network, n) })
	return slices.Concat(network, ours, rest)
}

// isNetwork tells whether an entry starts from the network: by its device path, or, where a vendor has one of its own, by its label.
func isNetwork(o bootmenu.Option) bool {
	label := strings.ToUpper(o.Label)
	return o.Network || o.Loader == "" && (strings.Contains(label, "PXE") || strings.Contains(label, "NETWORK") ||
		strings.Contains(label, "IPV4") || strings.Contains(label, "IPV6"))
}

// ReadBoots returns the entries of the firmware's menu that start what is on d, in the firmware's order, for the layout of a captured disk. firmware is as
// in Config; without one there are none.
func ReadBoots(ctx context.Context, firmware string, d disk.Disk) ([]disk.BootEntry, error) {
	if firmware == "" {
		return nil, nil
	}
	menu, err := bootmenu.Read(firmware)
	if err != nil {
		return nil, err
	}
	places, err := placesOf(ctx, d)
	if err != nil {
		return nil, errors.Join(errors.New("the boot entries of the disk cannot be told"), err)
	}
	var boots []disk.BootEntry
	for _, n := range menu.Numbers() {
		o := menu.Options[n]
		for _, p := range places {
			// A firmware keeps the entries of a disk that was cloned twice; one is enough.
			b := disk.BootEntry{Label: o.Label, Loader: o.Loader, Partition: int(p.Number)}
			if strings.EqualFold(p.ID, o.Disk.ID) && usable(b) && !slices.Contains(boots, b) {
				boots = append(boots, b)
			}
		}
	}
	return boots, nil
}

// usable tells whether a layout can hold the entry.
func usable(b disk.BootEntry) bool {
	return b.Label != "" && len(b.Label) <= 512 && len(b.Loader) > 1 && b.Loader[0] == '\\' && len(b.Loader) <= 512 &&
		!strings.ContainsFunc(b.Label+b.Loader, func(r rune) bool { return r < ' ' || r == 0x7F || r >= 0x80 && r < 0xA0 })
}
