package operation

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"aula/clientos/disk"
	"aula/clientos/instruction"
	"aula/clientos/protocol"
	"aula/imagestore"
	"aula/imagestore/format"
)

// A restorePlan is what a restore needs of the repositories, and the same for each PC.
type restorePlan struct {
	request    RestoreRequest
	repository string
	revision   int // of the one image that was named; 0 of a set
	parts      []protocol.Part
	sidecar    []byte           // JSON of layout
	layout     *disk.Layout     // nil when none is applied
	partitions []disk.Partition // of layout

	delivery  *protocol.Delivery // nil: a stream straight to the disk
	grow      int                // partition that takes what a larger disk has more
	configure bool               // the systems that were restored
}

// whole tells whether the one part is the image of a disk.
func (p restorePlan) whole() bool { return p.parts[0].Partition == 0 }

// partOf is an image as an instruction names it.
func partOf(partition int, img imagestore.Image) protocol.Part {
	return protocol.Part{Partition: partition, Image: protocol.Image{
		Repository: img.Repository, Name: img.Name, Revision: img.Revision, Digest: img.Blake3,
		FileBytes: img.FileBytes, UsedBytes: img.Info.UsedBytes, RequiredBytes: img.Info.RequiredBytes,
		Filesystem: img.Info.Filesystem, SectorSize: img.Source.SectorSize,
	}}
}

// step is the plan as its record keeps it.
func (p restorePlan) step(s instruction.Statement) Step {
	return Step{
		Kind: RestoreImage, Statement: s, Repository: p.repository, Image: p.request.Image, Revision: p.revision,
		Parts: p.parts, Layout: p.layout != nil, Whole: p.request.Whole,
	}
}

// planAgain is the plan of a step, without looking for images: they are those of the step.
func (m *Manager) planAgain(step Step) (restorePlan, error) {
	s := step.Statement
	p := restorePlan{
		request: requestOf(s), repository: step.Repository, revision: step.Revision, parts: step.Parts, grow: s.Grow, delivery: &s.Delivery,
	}
	if !s.Plain {
		p.configure = true
	}
	if !step.Layout {
		return p, nil
	}
	return p, m.readLayout(&p)
}

// planRestore looks up the images, and the layout when it is to be applied.
func (m *Manager) planRestore(r RestoreRequest) (restorePlan, error) {
	plan := restorePlan{request: r}
	err := checkPlaces(r)
	switch {
	case err != nil:
	case r.Whole:
		err = m.planWhole(&plan)
	default:
		err = m.planPartition(&plan)
	}
	if err == nil {
		err = m.complete(&plan)
	}
	if err != nil {
		return restorePlan{}, err
	}
	return plan, nil
}

// checkPlaces refuses a request that names no place, or two.
func checkPlaces(r RestoreRequest) error {
	switch {
	case r.Disk < 1 || r.Partition < 0 || r.SetDisk < 0:
		return errors.New("disks and partitions are numbered from 1")
	case !r.Whole && r.Partition < 1:
		return errors.New("no partition was chosen: partitions are numbered from 1 (choose one, or restore to the whole disk)")
	case r.Whole && r.Partition > 0:
		return fmt.Errorf("the whole disk was chosen and partition %d of it as well (leave one of them out)", r.Partition)
	case r.Revision < 0:
		return errors.New("revisions are numbered from 1")
	}
	return nil
}

// planPartition is for an image of a partition.
func (m *Manager) planPartition(plan *restorePlan) error {
	r := plan.request
	img, err := m.image(r.Repository, r.Image, r.Revision)
	switch {
	case err != nil:
		return err
	case img.Info.Filesystem == format.Disk:
		return fmt.Errorf("image %s is of a whole disk and does not fit into a partition (restore it to the whole disk)", img.Name)
	case img.Info.UsedBytes <= 0 || img.Info.RequiredBytes <= 0:
		return fmt.Errorf("image %s holds no data", img.Name)
	}
	plan.revision, plan.parts = img.Revision, []protocol.Part{partOf(r.Partition, img)}
	if !r.Layout {
		return nil
	}
	return m.readLayout(plan)
}

// planWhole is for an image of a disk, or a set.
func (m *Manager) planWhole(plan *restorePlan) error {
	r := plan.request
	img, err := m.image(r.Repository, r.Image, r.Revision)
	if err == nil && img.Info.Filesystem == format.Disk {
		plan.revision, plan.parts = img.Revision, []protocol.Part{partOf(0, img)}
		return nil
	}
	set, setErr := m.cfg.Images.Set(r.Repository, r.Image)
	switch {
	case errors.Is(setErr, imagestore.ErrNotFound) && err == nil:
		return fmt.Errorf("image %s is of a partition (%s), not of a disk (choose a partition for it; the layout beside it can be applied first)",
			img.Name, img.Info.Filesystem)
	case errors.Is(setErr, imagestore.ErrNotFound):
		return err
	case setErr != nil:
		return setErr
	case r.Revision > 0:
		return fmt.Errorf("the images of set %s each have revisions of their own (leave the revision out, or restore the partitions one by one)", r.Image)
	}
	if set, err = ofOneDisk(r, set); err != nil {
		return err
	}
	of := make(map[int]string) // names of the images by partition
	for _, img := range set {
		number := img.Source.Partition
		if number < 1 || img.Info.Filesystem == format.Disk {
			return fmt.Errorf("image %s of set %s does not say which partition it is of (restore it on its own)", img.Name, r.Image)
		}
		if other, ok := of[number]; ok {
			return fmt.Errorf("images %s and %s of set %s are both of partition %d (remove one of them, or restore the partitions one by one)",
				other, img.Name, r.Image, number)
		}
		of[number] = img.Name
		plan.parts = append(plan.parts, partOf(number, img))
	}
	if err := m.readLayout(plan); err != nil {
		return err
	}
	return plan.checkComplete()
}

// ofOneDisk chooses the images of a set that come from the disk that the request names.
func ofOneDisk(r RestoreRequest, set []imagestore.Image) ([]imagestore.Image, error) {
	var disks []string
	var chosen []imagestore.Image
	for _, img := range set {
		if name := fmt.Sprint(img.Source.Disk); !slices.Contains(disks, name) {
			disks = append(disks, name)
		}
		if img.Source.Disk == r.SetDisk || r.SetDisk == 0 {
			chosen = append(chosen, img)
		}
	}
	switch {
	case len(chosen) == 0:
		return nil, fmt.Errorf("set %s has no images of disk %d (it has those of disk %s)", r.Image, r.SetDisk, strings.Join(disks, ", "))
	case r.SetDisk == 0 && len(disks) > 1:
		return nil, fmt.Errorf("set %s has images of disks %s (say of which disk they shall be)", r.Image, strings.Join(disks, ", "))
	}
	return chosen, nil
}

// readLayout reads the layout that is beside the images, which must be the same for all.
func (m *Manager) readLayout(plan *restorePlan) error {
	for _, p := range plan.parts {
		img := p.Image
		data, err := m.cfg.Images.Layout(img.Repository, img.Name, img.Revision)
		switch {
		case err != nil:
			return fmt.Errorf("layout of image %s: %w (restore without it, to partitions that exist)", img.Name, err)
		case plan.sidecar != nil && !bytes.Equal(data, plan.sidecar):
			return fmt.Errorf("images %s and %s come from disks with different layouts (restore the partitions one by one)", plan.parts[0].Image.Name, img.Name)
		}
		plan.sidecar = data
	}
	layout, err := disk.ParseLayout(plan.sidecar)
	if err == nil {
		plan.partitions, err = layout.Partitions()
	}
	if err != nil {
		return diskFailure(err)
	}
	plan.layout = &layout
	return nil
}

// imageless tells whether no image is made of a partition of this type, because it holds nothing that lasts or the layout has it.
func imageless(p disk.Partition) bool {
	return p.Swap() || p.Reserved() || p.BIOSBoot() || p.Extended()
}

// checkComplete refuses a set of which an image is missing: the disk would be left with a partition that holds nothing.
func (p restorePlan) checkComplete() error {
	for _, partition := range p.partitions {
		kept := imageless(partition) ||
			slices.ContainsFunc(p.layout.Swaps, func(s disk.Swap) bool { return s.Partition == partition.Number })
		if kept || slices.ContainsFunc(p.parts, func(part protocol.Part) bool { return part.Partition == partition.Number }) {
			continue
		}
		return fmt.Errorf("set %s has no image of partition %d (type %s, %s): a disk restored from it would lack it "+
			"(import the set again, or restore the partitions one by one)",
			p.request.Image, partition.Number, partition.Type, disk.FormatSize(partition.Bytes))
	}
	return nil
}

// complete checks that every image of the plan may be used now, and notes where it is.
func (m *Manager) complete(plan *restorePlan) (err error) {
	for i, p := range plan.parts {
		if plan.parts[i], err = m.located(p); err != nil {
			return err
		}
	}
	plan.repository = plan.parts[0].Image.Repository
	return nil
}

// located is a part whose image may be used now, with where it is to be had.
func (m *Manager) located(p protocol.Part) (protocol.Part, error) {
	release, err := m.cfg.Images.Hold(p.Image.Repository, p.Image.Name, p.Image.Revision, "check before a restore")
	if err != nil {
		return p, unusable(p.Image.Name, err)
	}
	release()
	p.Image.Repository, p.Image.Server, err = m.cfg.Locate(p.Image.Repository)
	return p, err
}

// image looks up a revision, 0 for the current one. Of a name without any it says why.
func (m *Manager) image(repository, name string, revision int) (img imagestore.Image, err error) {
	if revision > 0 {
		img, err = m.cfg.Images.Revision(repository, name, revision)
	} else {
		img, err = m.cfg.Images.Image(repository, name)
	}
	if !errors.Is(err, imagestore.ErrNotFound) {
		return img, err
	}
	for _, s := range m.cfg.Images.Standings() {
		if s.Name == name && s.Revision == 0 && (repository == "" || s.Repository == repository) {
			return imagestore.Image{}, notReady(s)
		}
	}
	return imagestore.Image{}, err
}

// unusable says what to do about an image of which the repository says that it may not be used.
func unusable(name string, err error) error {
	if errors.Is(err, imagestore.ErrDamaged) {
		return fmt.Errorf("%w (restore an earlier revision of %s, or import or capture it again)", err, name)
	}
	return fmt.Errorf("image %s cannot be used now: %w", name, err)
}

// notReady says why there is no revision of an image yet.
func notReady(s imagestore.Standing) error {
	switch s.State {
	case imagestore.Damaged:
		return fmt.Errorf("image %s is damaged: %s (import or capture it again)", s.Name, s.Problem)
	case imagestore.Arriving, imagestore.Processing:
		return fmt.Errorf("image %s is not ready yet: it is %s (wait until it is ready)", s.Name, s.State)
	}
	return fmt.Errorf("image %s cannot be used: it is %s (see it in the list of images)", s.Name, s.State)
}

// checkCompressor refuses what an image cannot be captured with.
func checkCompressor(compressor string, level int) error {
	switch compressor = cmp.Or(compressor, format.Zstd); compressor {
	case format.Zstd, format.Lzop, format.Gzip:
		return format.CheckCompressor(compressor, level)
	}
	return fmt.Errorf("images are not compressed with %q (choose %s, %s or %s)", compressor, format.Zstd, format.Lzop, format.Gzip)
}
