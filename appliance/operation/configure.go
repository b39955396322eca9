package operation

import (
	"fmt"
	"slices"
	"strings"

	"aula/appliance/catalog"
	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// What restored systems are told of their PCs.

// configuration is what a system is told of the PC that it was restored to. Its scripts are not in it before it is sent: they are long, may hold
// passwords, and what counts is what they are by then.
func configuration(pc catalog.Computer) *protocol.Configuration {
	return &protocol.Configuration{Extend: true, Boot: true, Hostname: hostname(pc.Name)}
}

// maxHostname is the greatest length of a host's name in bytes (RFC 1035, 2.3.4).
const maxHostname = 63

// hostname is the name of a PC as a host may have it (RFC 1123, 2.1: letters, digits, hyphens inside): one that is too long keeps the digits at its end, by
// which the PCs of a classroom differ. A name with nothing that a host's may have goes to the PC as it is, as far as it goes, which then says so.
func hostname(name string) string {
	first, _, _ := strings.Cut(name, ".")
	host := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, first), "-")
	if host == "" {
		return strings.ToValidUTF8(name[:min(len(name), maxHostname)], "")
	}
	if len(host) <= maxHostname {
		return host
	}
	stem := strings.TrimRight(host, "0123456789")
	digits := host[len(stem):]
	digits = digits[max(len(digits)-maxHostname, 0):]
	return strings.Trim(stem[:min(len(stem), maxHostname-len(digits))]+digits, "-")
}

// scripted names the images whose scripts go with the seat's instruction, and false when it configures nothing.
func (s *seat) scripted() (images []string, configures bool) {
	if s.Instruct.Configuration == nil {
		return nil, false
	}
	if s.Instruct.Kind == ConfigureOS && len(s.job.op.Steps) > 0 {
		return s.job.op.Steps[s.Step].Statement.Images, true
	}
	for _, p := range s.Instruct.Parts {
		images = append(images, p.Image.Name)
	}
	return images, true
}

// withScripts is a configuration as it is sent to a PC.
func (m *Manager) withScripts(c protocol.Configuration, computerID string, images []string) (*protocol.Configuration, error) {
	c.Scripts = nil // of a record from when they were kept there
	if m.cfg.Scripts == nil {
		return &c, nil
	}
	pc, err := m.cfg.Computers.Computer(computerID)
	if err != nil {
		return nil, fmt.Errorf("scripts: %w", err)
	}
	c.Scripts = m.cfg.Scripts(pc, images)
	return &c, nil
}

// A configurePlan tells restored systems of their PCs once more.
type configurePlan struct {
	disk       int
	partitions []int // none: all that hold data, but for the cache
}

// configured are the partitions that a step configures; none for all.
func (s Step) configured() []int {
	if len(s.Partitions) == 0 && s.Statement.Partition > 0 {
		return []int{s.Statement.Partition}
	}
	return s.Partitions
}

// restored are the partitions to which a step restored images; none when that is the disk as a whole.
func (s Step) restored() []int {
	if s.Kind == ConfigureOS {
		return s.configured()
	}
	var partitions []int
	for _, p := range s.Parts {
		if p.Partition > 0 {
			partitions = append(partitions, p.Partition)
		}
	}
	return partitions
}

func (p configurePlan) check(pc catalog.Computer, online bool) (Preflight, protocol.Instruct) {
	result := Preflight{ComputerID: pc.ID, Name: pc.Name, Loses: []string{}, Online: online}
	d, f := findDisk(pc, online, p.disk)
	for _, number := range p.partitions {
		if f == nil {
			_, f = findPartition(pc, d, number)
		}
	}
	if result.Failure = f; f != nil {
		return result, protocol.Instruct{}
	}
	result.Disk = describeDisk(d)
	in := protocol.Instruct{Kind: ConfigureOS, Disk: d.Ref(), Configuration: configuration(pc), Computer: pc.Name}
	on, cache, found := disk.FindCache(pc.Inventory.Disks)
	for _, partition := range d.Partitions {
		isCache := partition.Cache() || found && on.Number == d.Number && cache.Number == partition.Number
		wanted := len(p.partitions) == 0 || slices.Contains(p.partitions, partition.Number)
		if wanted && !isCache && !imageless(partition) {
			in.Parts = append(in.Parts, protocol.Part{Partition: partition.Number, Image: protocol.Image{Filesystem: partition.Filesystem}})
		}
	}
	return result, in
}
