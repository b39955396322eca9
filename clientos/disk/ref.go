package disk

import (
	"fmt"
	"slices"
	"strings"
)

// A Ref says which disk of a PC is meant. The server fills it from the inventory that it showed to the
// operator; System.Find compares it with what is in the PC now.
//
// With a serial number or a world wide name that no other disk has, it names that one disk: any other that
// has taken its number is refused. Without them it names the disk that has this number, model, size and
// sector size, and it is refused while another disk of the PC has the same, because numbers may have been
// swapped since the inventory. What it cannot show is that such a disk was taken out and one just like it
// is in its place.
//
// WWN and Model are compared only when the Ref has them: those of older servers do not.
type Ref struct {
	Number     int    `json:"number"`
	Model      string `json:"model,omitempty"`
	Serial     string `json:"serial,omitempty"` // empty: the disk must have none
	WWN        string `json:"wwn,omitempty"`
	Bytes      int64  `json:"bytes"`
	SectorSize int    `json:"sectorSize"`
}

// Ref returns the reference by which others name d.
func (d Disk) Ref() Ref {
	return Ref{Number: d.Number, Model: d.Model, Serial: d.Serial, WWN: d.WWN, Bytes: d.Bytes, SectorSize: d.SectorSize}
}

// choose is Find on an inventory.
func choose(disks []Disk, ref Ref) (Disk, error) {
	i := slices.IndexFunc(disks, func(d Disk) bool { return d.Number == ref.Number })
	if i < 0 {
		return Disk{}, &Error{
			Kind:    Missing,
			Problem: fmt.Sprintf("this PC has no disk %d: it has %s", ref.Number, count(len(disks), "disk")),
			Advice:  "check the cable and the BIOS setup; nothing was written",
		}
	}
	d := disks[i]
	if fields := ref.differences(d); len(fields) > 0 {
		return Disk{}, &Error{
			Kind: Differs,
			Problem: fmt.Sprintf("disk %d is now %s, but the operation named %s (%s differs): nothing was written",
				ref.Number, d.Ref().describe(), ref.describe(), strings.Join(fields, " and ")),
			Advice: "look at the computer's disks in the console and start the operation again",
		}
	}
	if err := ref.refuseTwins(disks); err != nil {
		return Disk{}, err
	}
	return d, nil
}

// differences lists in what d is not the disk that r describes, its number aside.
func (r Ref) differences(d Disk) []string {
	var fields []string
	if r.Model != "" && d.Model != r.Model {
		fields = append(fields, "model")
	}
	if d.Serial != r.Serial {
		fields = append(fields, "serial number")
	}
	if r.WWN != "" && d.WWN != r.WWN {
		fields = append(fields, "world wide name")
	}
	if d.Bytes != r.Bytes {
		fields = append(fields, "size")
	}
	if d.SectorSize != r.SectorSize {
		fields = append(fields, "sector size")
	}
	return fields
}

// refuseTwins refuses a Ref that describes several of the disks: only the number is left to choose by, and the kernel gives
// numbers anew at every start.
func (r Ref) refuseTwins(disks []Disk) error {
	var twins []string
	for _, d := range disks {
		if len(r.differences(d)) == 0 {
			twins = append(twins, fmt.Sprintf("disk %d (%s)", d.Number, d.Path))
		}
	}
	if len(twins) < 2 {
		return nil
	}
	return &Error{
		Kind: Differs,
		Problem: fmt.Sprintf("%s cannot be told apart, and their numbers may have been swapped: each is %s; nothing was written",
			strings.Join(twins, " and "), r.describe()),
		Advice: "disconnect all of them but the one that is meant, or make the controller or the virtual machine give each a serial number of its own; " +
			"then restart the computer from the network and start the operation again",
	}
}

// describe says of a disk what a technician reads on its sticker.
func (r Ref) describe() string {
	s := fmt.Sprintf("a disk of %s", FormatBytes(r.Bytes))
	if r.Model != "" {
		s += " (" + r.Model + ")"
	}
	if r.Serial != "" {
		s += fmt.Sprintf(" with serial number %s", r.Serial)
	} else {
		s += " without serial number"
	}
	if r.WWN != "" {
		s += fmt.Sprintf(", with world wide name %s", r.WWN)
	}
	if r.SectorSize != 512 {
		s += fmt.Sprintf(" and sectors of %d bytes", r.SectorSize)
	}
	return s
}
