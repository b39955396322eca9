package clone

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/imagestore/format"
)

// A restore is a restoreImage on its way: what the preflight found out and the later stages use.
type restore struct {
	*job
	layout *disk.Layout    // to apply first, nil for none
	cache  *disk.Partition // of the disk, which the layout leaves alone; nil for none
	parts  []*part
	strain *strain // of the writing; nil before

	waiting int64 // bytes of memory that blocks of a delivery usually take
}

// A part is one image of a restore and its place.
type part struct {
	number int // of the partition, 0 for the whole disk
	image  protocol.Image
	index  *format.Index
	parts  *format.FileMap // of an image that is delivered in blocks, nil for a stream

	// From prepare on.
	disk  disk.Disk
	place disk.Partition // of the whole disk it says only how large that is
	file  *os.File       // claimed
}

// whole tells whether the image is one of a disk.
func (p *part) whole() bool { return p.number == 0 }

// where is the part's place in words.
func (p *part) where(d disk.Disk) string {
	if p.whole() {
		return fmt.Sprintf("disk %d", d.Number)
	}
	return fmt.Sprintf("partition %d of disk %d", p.number, d.Number)
}

// about adds to an error which of the images it is about.
func (p *part) about(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("image %s: %w", p.image.Name, err)
}

// restore carries out a restoreImage. Each stage deals with all parts before the next begins, so that nothing is written
// unless all can be, and a stage's progress is that of the whole.
func (j *job) restore(ctx context.Context) (Result, error) {
	r := j.newRestore()
	defer r.close()
	if err := r.preflight(ctx); err != nil {
		return Result{}, err
	}
	if err := r.prepare(ctx); err != nil {
		return Result{}, err
	}
	total := j.instruct.UsedBytes()
	r.strain = newStrain(j.local, time.Now())
	j.meter.strained(protocol.StageWriting, total, r.strain)
	for _, p := range r.parts {
		j.log.Info("restore starts", "device", p.file.Name(), "image", p.image.Name, "revision", p.image.Revision, "used", p.image.UsedBytes)
	}
	if err := r.fill(ctx); err != nil {
		return Result{}, err
	}
	j.meter.stage(protocol.StageVerifying, total)
	var verified int64
	for _, p := range r.parts {
		n, err := r.verify(ctx, p)
		if err != nil {
			return Result{}, p.about(err)
		}
		verified += n
	}
	j.meter.stage(protocol.StageFinishing, 0)
	for _, p := range r.parts {
		if err := p.finish(ctx); err != nil {
			return Result{}, p.about(err)
		}
	}
	return Result{Verified: verified, Bytes: verified}, nil
}

func (j *job) newRestore() *restore {
	r := &restore{job: j}
	for _, p := range j.instruct.Parts {
		r.parts = append(r.parts, &part{number: p.Partition, image: p.Image})
	}
	return r
}

// close lets go of the disk.
func (r *restore) close() {
	for _, p := range r.parts {
		if p.file != nil {
			p.file.Close() // what was written is on the disk already, or there is an error that says more
		}
	}
}

// prepare applies the layout, if there is one, claims every part's place and wipes what old filesystems would show through the new
// ones. From here on the disk is written to.
func (r *restore) prepare(ctx context.Context) error {
	if r.layout != nil {
		d, err := r.disks.Find(ctx, r.instruct.Disk)
		if err != nil {
			return err
		}
		r.meter.stage(protocol.StagePartitioning, 0)
		r.meter.dirty()
		if err := r.applyLayout(ctx, d); err != nil {
			return err
		}
	}
	d, err := r.disks.Find(ctx, r.instruct.Disk)
	if err != nil {
		return err
	}
	for _, p := range r.parts {
		p.disk = d
		if p.place, err = placeOf(d, p.number, fmt.Sprintf("it has %d partitions", len(d.Partitions))); err != nil {
			return err
		}
		if p.file, err = d.Open(ctx, p.number, true); err != nil {
			return err
		}
	}
	r.meter.dirty()
	for _, p := range r.parts {
		if err := disk.WipeSignatures(ctx, p.file); err != nil {
			return err
		}
	}
	return nil
}

func (r *restore) applyLayout(ctx context.Context, d disk.Disk) error {
	if r.cache != nil {
		return disk.ApplyLayoutBeside(ctx, d, *r.layout, *r.cache)
	}
	return disk.ApplyLayout(ctx, d, *r.layout)
}

// placeOf is the partition of d with the number, or all of d for 0; instead says what there is otherwise.
func placeOf(d disk.Disk, number int, instead string) (disk.Partition, error) {
	if number == 0 {
		return disk.Partition{Bytes: d.Bytes}, nil
	}
	p, ok := d.Partition(number)
	if !ok || p.Extended() {
		return p, failure(protocol.ErrPartition,
			fmt.Sprintf("disk %d has no partition %d that can hold a filesystem: %s", d.Number, number, instead),
			"choose another partition, or restore the image together with its disk layout; nothing was written")
	}
	return p, nil
}

// finish makes what was verified bootable where it is now: from here on the disk holds more, or other, than the image.
func (p *part) finish(ctx context.Context) error {
	var err error
	if p.whole() {
		err = disk.AdoptTable(ctx, p.disk, p.file)
	} else {
		err = adaptBootSectors(p.file, p.index.Info.Filesystem, p.place)
	}
	f := p.file
	p.file = nil
	return errors.Join(err, f.Close())
}
