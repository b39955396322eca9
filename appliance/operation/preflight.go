package operation

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aula/appliance/catalog"
	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// The server's pre-flight: what the inventory tells before anything is sent. The agent checks all of it again on the real
// disk, which may have changed since.

// check implements stepPlan.
func (p restorePlan) check(pc catalog.Computer, online bool) (Preflight, protocol.Instruct) {
	result := Preflight{ComputerID: pc.ID, Name: pc.Name, Loses: []string{}, Online: online}
	d, f := findDisk(pc, online, p.request.Disk)
	if f != nil {
		result.Failure = f
		return result, protocol.Instruct{}
	}
	result.Disk = describeDisk(d)
	var lost []disk.Partition
	if p.whole() || p.layout != nil {
		lost, result.Failure = p.checkDisk(pc, d)
	} else {
		var partition disk.Partition
		if partition, result.Failure = findPartition(pc, d, p.request.Partition); result.Failure == nil {
			lost = []disk.Partition{partition}
			result.Failure = checkPartition(pc, d, partition, p.parts[0])
			result.Notes = otherType(partition, p.parts[0].Image)
		}
	}
	if result.Failure == nil {
		result.Way, result.Failure = way(pc, p.delivery, p.parts)
	}
	if result.Failure == nil {
		for _, partition := range lost {
			if !partition.Extended() {
				result.Loses = append(result.Loses, describePartition(partition))
			}
		}
	}
	return result, p.instruct(pc, d)
}

// instruct is what the PC is told.
func (p restorePlan) instruct(pc catalog.Computer, d disk.Disk) protocol.Instruct {
	in := protocol.Instruct{
		Kind: RestoreImage, Disk: d.Ref(), Parts: p.parts, Delivery: p.delivery, Grow: p.grow, Fit: p.fits(d), Computer: pc.Name,
	}
	if p.configure {
		in.Configuration = configuration(pc)
	}
	return in
}

// otherType warns of a partition whose type says that something else is in it.
func otherType(partition disk.Partition, img protocol.Image) []string {
	if partition.Holds(img.Filesystem) {
		return nil
	}
	kind, _ := partition.Kind()
	return []string{fmt.Sprintf("partition %d is of type %s and the image is of a filesystem %s: systems may not find it by its type "+
		"(give the partition a type that fits with Partition and format first)", partition.Number, kind.Name, img.Filesystem)}
}

// checkDisk is for what is written to a whole disk. It answers the partitions whose content will be lost.
func (p restorePlan) checkDisk(pc catalog.Computer, d disk.Disk) ([]disk.Partition, *protocol.Failure) {
	if !p.whole() {
		return p.checkLayout(pc, d)
	}
	img := p.parts[0].Image
	if f := checkSector(d, img); f != nil {
		return nil, f
	}
	if need := img.RequiredBytes; d.Bytes < need {
		return nil, refusal(protocol.ErrSize,
			fmt.Sprintf("disk %d has %s and image %s needs %s: %s are missing", d.Number,
				disk.FormatBytes(d.Bytes), img.Name, disk.FormatBytes(need), disk.FormatBytes(need-d.Bytes)),
			"use a disk at least as large as the one that the image was made of")
	}
	return d.Partitions, p.checkCacheStays(pc, d)
}

// checkCacheStays refuses to have an image come through a cache that it overwrites, or that its layout does away with.
func (p restorePlan) checkCacheStays(pc catalog.Computer, d disk.Disk) *protocol.Failure {
	if p.delivery == nil || p.delivery.Direct || p.fits(d) {
		return nil
	}
	if on, _, found := disk.FindCache(pc.Inventory.Disks); !found || on.Number != d.Number {
		return nil
	}
	return refusal(protocol.ErrCacheSize,
		fmt.Sprintf("image %s would do away with the cache of %s, through which it is to come: all of disk %d is made anew", p.parts[0].Image.Name, pc.Name, d.Number),
		"restore it with -DIRECT, or make the partitions first with partitionDisk, which leaves the cache in its place")
}

func checkPartition(pc catalog.Computer, d disk.Disk, partition disk.Partition, p protocol.Part) *protocol.Failure {
	on, cache, found := disk.FindCache(pc.Inventory.Disks)
	if partition.Cache() || found && on.Number == d.Number && cache.Number == partition.Number {
		return refusal(protocol.ErrPartition, fmt.Sprintf("disk %d partition %d is the cache of the PC", d.Number, partition.Number),
			"choose another partition, or remove the cache first with initCache")
	}
	if f := checkSector(d, p.Image); f != nil {
		return f
	}
	if need := p.Image.RequiredBytes; partition.Bytes < need {
		return refusal(protocol.ErrSize,
			fmt.Sprintf("disk %d partition %d has %s and image %s needs %s: %s are missing", d.Number, partition.Number,
				disk.FormatBytes(partition.Bytes), p.Image.Name, disk.FormatBytes(need), disk.FormatBytes(need-partition.Bytes)),
			"make the partition larger, or apply the layout of the image's disk to the whole disk")
	}
	return nil
}

// checkLayout is for what is written after a layout was applied, which is fitted to the disk when all of it is restored.
func (p restorePlan) checkLayout(pc catalog.Computer, d disk.Disk) ([]disk.Partition, *protocol.Failure) {
	for _, part := range p.parts {
		if f := checkSector(d, part.Image); f != nil {
			return nil, f
		}
	}
	lost, partitions, err := p.arrange(d)
	if err != nil {
		return nil, diskFailure(err)
	}
	for _, part := range p.parts {
		if f := checkPlanned(partitions, part); f != nil {
			return nil, f
		}
	}
	return lost, p.checkCacheStays(pc, d)
}

// fits tells whether the layout is adapted to the disk. That of a system which is to stay as it is in the image is, too, when it must: for the cache's sake, or
// because the disk is too small for it.
func (p restorePlan) fits(d disk.Disk) bool {
	if p.layout == nil || !p.request.Whole {
		return false
	}
	_, _, cache := disk.FindCache([]disk.Disk{d})
	return p.configure || p.grow > 0 || cache || p.layout.Fits(d) != nil
}

// arrange puts the layout onto a disk: what is lost by it, and the partitions that there are then.
func (p restorePlan) arrange(d disk.Disk) (lost, partitions []disk.Partition, err error) {
	if !p.fits(d) {
		return d.Partitions, p.partitions, p.layout.Fits(d)
	}
	lost = d.Partitions
	var keep *disk.Partition
	if _, cache, found := disk.FindCache([]disk.Disk{d}); found {
		keep = &cache
		lost = slices.DeleteFunc(slices.Clone(lost), func(q disk.Partition) bool { return q.Number == cache.Number })
	}
	fitted, err := p.layout.FitTo(d, needs(p.parts), p.grow, keep)
	if err == nil {
		partitions, err = fitted.Partitions()
	}
	return lost, partitions, err
}

// restored is a disk as it is once the layout was applied to it and the images are in its partitions.
func (p restorePlan) restored(d disk.Disk) disk.Disk {
	_, partitions, err := p.arrange(d)
	if err != nil {
		return d
	}
	d.Table, d.Partitions = p.layout.Table, slices.Clone(partitions)
	for i, partition := range d.Partitions {
		for _, part := range p.parts {
			if part.Partition == partition.Number {
				d.Partitions[i].Filesystem, d.Partitions[i].Used = part.Image.Filesystem, part.Image.UsedBytes
			}
		}
	}
	return d
}

// needs are the bytes that the images' partitions must have.
func needs(parts []protocol.Part) map[int]int64 {
	bytes := make(map[int]int64, len(parts))
	for _, p := range parts {
		bytes[p.Partition] = p.Image.RequiredBytes
	}
	return bytes
}

// checkPlanned refuses an image that the layout has no place for.
func checkPlanned(partitions []disk.Partition, part protocol.Part) *protocol.Failure {
	i := slices.IndexFunc(partitions, func(q disk.Partition) bool { return q.Number == part.Partition })
	if i < 0 || partitions[i].Extended() {
		return refusal(protocol.ErrNotFound,
			fmt.Sprintf("the layout beside image %s has no partition %d for data", part.Image.Name, part.Partition),
			"choose one of "+numbers(partitions))
	}
	if have, need := partitions[i].Bytes, part.Image.RequiredBytes; have < need {
		return refusal(protocol.ErrSize,
			fmt.Sprintf("partition %d of the layout has %s and image %s needs %s", part.Partition, disk.FormatBytes(have), part.Image.Name, disk.FormatBytes(need)),
			"choose the partition that the image was captured from")
	}
	return nil
}

// checkSector refuses a disk with other sectors than the image's: filesystems and boot sectors count in them. Of an image whose record
// does not tell, the agent reads it in the partition table or the boot sector before it writes anything.
func checkSector(d disk.Disk, img protocol.Image) *protocol.Failure {
	if want := img.SectorSize; want != 0 && d.SectorSize != want {
		return refusal(protocol.ErrPartition,
			fmt.Sprintf("disk %d has sectors of %d bytes and image %s comes from a disk with sectors of %d bytes", d.Number, d.SectorSize, img.Name, want),
			"use an image captured from a disk with the same sector size")
	}
	return nil
}

// checkCapture is the pre-flight of a capture; free is the room in the repository.
func checkCapture(pc catalog.Computer, online bool, r CaptureRequest, free int64) (disk.Ref, *protocol.Failure) {
	d, f := findDisk(pc, online, r.Disk)
	if f != nil {
		return disk.Ref{}, f
	}
	partition, f := findPartition(pc, d, r.Partition)
	if f != nil {
		return disk.Ref{}, f
	}
	switch {
	case partition.Filesystem == "":
		return disk.Ref{}, refusal(protocol.ErrFilesystem,
			fmt.Sprintf("disk %d partition %d of %s holds no filesystem that is known", d.Number, partition.Number, pc.Name),
			"choose a partition with a filesystem, such as "+filesystems(d))
	case strings.Contains(partition.Filesystem, "SWAP"):
		return disk.Ref{}, refusal(protocol.ErrFilesystem,
			fmt.Sprintf("disk %d partition %d of %s is swap space, which holds no files", d.Number, partition.Number, pc.Name),
			"choose a partition with a filesystem; swap is kept with the disk's layout")
	}
	if need := estimate(partition.Used); need > free {
		return disk.Ref{}, refusal(protocol.ErrCacheSize,
			fmt.Sprintf("the image of disk %d partition %d of %s will take about %s and the repository has room for %s", d.Number, partition.Number,
				pc.Name, disk.FormatBytes(need), disk.FormatBytes(max(free, 0))),
			"remove images that are not needed, or give the repository a larger disk")
	}
	return d.Ref(), nil
}

// checkDiskCapture is the pre-flight of a capture of all partitions of a disk that hold data; it answers which those are.
func checkDiskCapture(pc catalog.Computer, online bool, r CaptureRequest, free int64) (ref disk.Ref, partitions []int, f *protocol.Failure) {
	d, f := findDisk(pc, online, r.Disk)
	if f != nil {
		return disk.Ref{}, nil, f
	}
	_, cache, hasCache := disk.FindCache([]disk.Disk{d})
	var need int64
	for _, partition := range d.Partitions {
		if imageless(partition) || strings.Contains(partition.Filesystem, "SWAP") || hasCache && partition.Number == cache.Number {
			continue
		}
		if partition.Filesystem == "" {
			return disk.Ref{}, nil, refusal(protocol.ErrFilesystem,
				fmt.Sprintf("disk %d partition %d of %s holds no filesystem that is known, so that a disk restored from the images would lack it",
					d.Number, partition.Number, pc.Name), "format it or remove it, or capture the other partitions one by one")
		}
		partitions = append(partitions, partition.Number)
		need += estimate(partition.Used)
	}
	switch {
	case len(partitions) == 0:
		return disk.Ref{}, nil, refusal(protocol.ErrNotFound, fmt.Sprintf("disk %d of %s has no partition with data", d.Number, pc.Name), "choose another disk")
	case need > free:
		return disk.Ref{}, nil, refusal(protocol.ErrCacheSize,
			fmt.Sprintf("the images of disk %d of %s will take about %s and the repository has room for %s", d.Number, pc.Name,
				disk.FormatBytes(need), disk.FormatBytes(max(free, 0))),
			"remove images that are not needed, or give the repository a larger disk")
	}
	return d.Ref(), partitions, nil
}

// estimate is the size of an image of used bytes: OpenGnsys counts 0.65 of them for a compressed image. It is 0 when used is not
// known; the repository then stops the capture before its disk is full.
func estimate(used int64) int64 { return max(used, 0) / 100 * 65 }

// findDisk returns a disk of a PC that obeys.
func findDisk(pc catalog.Computer, online bool, number int) (disk.Disk, *protocol.Failure) {
	if f := reachable(pc, online); f != nil {
		return disk.Disk{}, f
	}
	i := slices.IndexFunc(pc.Inventory.Disks, func(d disk.Disk) bool { return d.Number == number })
	if i < 0 {
		return disk.Disk{}, refusal(protocol.ErrNotFound,
			fmt.Sprintf("%s has no disk %d: it has %s", pc.Name, number, count(len(pc.Inventory.Disks), "disk")),
			"look whether the disk is connected and switched on in the firmware's set-up")
	}
	if d := pc.Inventory.Disks[i]; d.Bytes > 0 {
		return d, nil
	}
	return disk.Disk{}, refusal(protocol.ErrNotFound, fmt.Sprintf("disk %d of %s holds nothing: it is an empty card reader or broken", number, pc.Name),
		"choose another disk")
}

func findPartition(pc catalog.Computer, d disk.Disk, number int) (disk.Partition, *protocol.Failure) {
	partition, ok := d.Partition(number)
	switch {
	case !ok && len(d.Partitions) == 0:
		return disk.Partition{}, refusal(protocol.ErrNotFound, fmt.Sprintf("disk %d of %s has no partitions", d.Number, pc.Name),
			"apply the layout of the image's disk to it")
	case !ok:
		return disk.Partition{}, refusal(protocol.ErrNotFound, fmt.Sprintf("disk %d of %s has no partition %d", d.Number, pc.Name, number),
			"choose one of "+numbers(d.Partitions))
	case partition.Extended():
		return disk.Partition{}, refusal(protocol.ErrPartition,
			fmt.Sprintf("disk %d partition %d of %s is the container of the logical partitions", d.Number, number, pc.Name),
			"choose one of "+numbers(d.Partitions))
	}
	return partition, nil
}

// reachable tells why a PC cannot be commanded now.
func reachable(pc catalog.Computer, online bool) *protocol.Failure {
	switch {
	case pc.State != catalog.Accepted:
		return refusal(protocol.ErrGeneric, "the PC waits to be accepted", "accept it into a classroom first")
	case !online:
		return refusal(protocol.ErrGeneric, pc.Name+" is not connected", "switch it on and let it boot from the network")
	}
	return nil
}

// refusal is a failure of the pre-flight.
func refusal(code int, problem, advice string) *protocol.Failure {
	return &protocol.Failure{Code: code, Stage: protocol.StagePreflight, Problem: problem, Advice: advice}
}

// diskFailure is what clientos/disk says, as a failure.
func diskFailure(err error) *protocol.Failure {
	f := refusal(protocol.ErrPartition, err.Error(), "create the image again")
	if e, ok := errors.AsType[*disk.Error](err); ok {
		f.Advice, f.Detail = cmp.Or(e.Advice, f.Advice), e.Detail
		if e.Kind == disk.TooSmall {
			f.Code = protocol.ErrSize
		}
	}
	return f
}

func describeDisk(d disk.Disk) string {
	return fmt.Sprintf("%s, serial %s, %s", cmp.Or(d.Model, "disk of unknown model"), cmp.Or(d.Serial, "unknown"), disk.FormatSize(d.Bytes))
}

func describePartition(p disk.Partition) string {
	text := fmt.Sprintf("partition %d: ", p.Number)
	if p.Filesystem == "" {
		return text + disk.FormatSize(p.Bytes) + ", content unknown"
	}
	text += p.Filesystem
	if p.Label != "" {
		text += fmt.Sprintf(" %q", p.Label)
	}
	if p.Used < 0 {
		return text + ", " + disk.FormatSize(p.Bytes)
	}
	return fmt.Sprintf("%s, %s used of %s", text, disk.FormatSize(p.Used), disk.FormatSize(p.Bytes))
}

// numbers lists the partitions that hold data.
func numbers(partitions []disk.Partition) string {
	var all []string
	for _, p := range partitions {
		if !p.Extended() {
			all = append(all, fmt.Sprint(p.Number))
		}
	}
	if len(all) == 0 {
		return "another disk's"
	}
	return strings.Join(all, ", ")
}

func filesystems(d disk.Disk) string {
	for _, p := range d.Partitions {
		if p.Filesystem != "" && !strings.Contains(p.Filesystem, "SWAP") {
			return fmt.Sprintf("%d (%s)", p.Number, p.Filesystem)
		}
	}
	return "one that this disk does not have"
}

func count(n int, what string) string {
	switch n {
	case 0:
		return "no " + what
	case 1:
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
