package clone

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/imagestore/format"
)

// preflight does every check that can be done before the first byte is written, on every part. It writes nothing.
func (r *restore) preflight(ctx context.Context) error {
	d, err := r.disks.Find(ctx, r.instruct.Disk)
	if err != nil {
		return err
	}
	planned, err := r.plan(d)
	if err != nil {
		return err
	}
	for _, p := range r.parts {
		if p.place, err = r.check(ctx, p, d, planned); err != nil {
			return err
		}
	}
	for _, p := range r.parts {
		if err := r.examine(ctx, p, d); err != nil {
			return p.about(err)
		}
	}
	return nil
}

// plan returns the disk as it will be when the images are written: as it is, or as the layout will make it.
func (r *restore) plan(d disk.Disk) (disk.Disk, error) {
	if len(r.instruct.Layout) == 0 {
		return d, nil
	}
	layout, err := disk.ParseLayout(r.instruct.Layout)
	if err != nil {
		return d, err
	}
	if r.instruct.Fit {
		layout, err = r.fit(layout, d)
	} else {
		err = layout.Fits(d)
	}
	if err != nil {
		return d, err
	}
	if err := d.CheckFree(); err != nil {
		return d, err
	}
	r.layout = &layout
	d.Partitions, err = layout.Partitions()
	return d, err
}

// fit adapts the layout to the disk, and leaves the PC's cache in its place.
func (r *restore) fit(layout disk.Layout, d disk.Disk) (disk.Layout, error) {
	needs := make(map[int]int64, len(r.parts))
	for _, p := range r.parts {
		needs[p.number] = p.image.RequiredBytes
	}
	if _, cache, found := disk.FindCache([]disk.Disk{d}); found {
		r.cache = &cache
	}
	return layout.FitTo(d, needs, r.instruct.Grow, r.cache)
}

// check makes sure that the part's place is there, free and large enough.
func (r *restore) check(ctx context.Context, p *part, d, planned disk.Disk) (disk.Partition, error) {
	if p.image.SectorSize != 0 && p.image.SectorSize != d.SectorSize {
		return disk.Partition{}, wrongSectors(d, p.image.SectorSize)
	}
	instead := fmt.Sprintf("it has %d partitions", len(planned.Partitions))
	if r.layout != nil {
		instead = "the layout to apply has none with this number"
	}
	place, err := placeOf(planned, p.number, instead)
	if err != nil {
		return place, err
	}
	if r.layout == nil {
		if _, cache, found := disk.FindCache([]disk.Disk{d}); found && cache.Number == p.number {
			return place, failure(protocol.ErrPartition, fmt.Sprintf("partition %d of disk %d is the cache of this PC", p.number, d.Number),
				"choose another partition, or remove the cache first with initCache; nothing was written")
		}
		f, err := d.Open(ctx, p.number, true)
		if err != nil {
			return place, err
		}
		if err := f.Close(); err != nil {
			return place, err
		}
	}
	if place.Bytes >= p.image.RequiredBytes {
		return place, nil
	}
	advice := "restore to a larger partition, or shrink the filesystem on the model computer and capture it again; nothing was written"
	if p.whole() {
		advice = "use a disk at least as large as the one that the image was made of; nothing was written"
	}
	return place, failure(protocol.ErrSize,
		fmt.Sprintf("%s has %s and image %s needs %s: %s are missing", p.where(d), disk.FormatBytes(place.Bytes), p.image.Name,
			disk.FormatBytes(p.image.RequiredBytes), disk.FormatBytes(p.image.RequiredBytes-place.Bytes)), advice)
}

func wrongSectors(d disk.Disk, sectorSize int) error {
	return failure(protocol.ErrPartition,
		fmt.Sprintf("disk %d has sectors of %d bytes and the image comes from a disk with sectors of %d bytes", d.Number, d.SectorSize, sectorSize),
		"use an image captured from a disk with the same sector size; nothing was written")
}

// examine gets the part's index and looks whether its image can be fetched and is the one that is meant.
func (r *restore) examine(ctx context.Context, p *part, d disk.Disk) error {
	if err := r.fetchIndex(ctx, p); err != nil {
		return err
	}
	if isDisk := p.index.Info.Filesystem == format.Disk; isDisk != p.whole() {
		return failure(protocol.ErrFormat, fmt.Sprintf("image %s holds %s and cannot be written to %s", p.image.Name, p.index.Info, p.where(d)),
			"write images of a disk to a whole disk and those of partitions to partitions; nothing was written")
	}
	off, first, err := r.begin(ctx, p)
	if err != nil {
		return err
	}
	if p.image.SectorSize != 0 {
		return nil
	}
	if size := sectorsOf(p.index.Info.Filesystem, off, first); size != 0 && size != d.SectorSize {
		return wrongSectors(d, size)
	}
	return nil
}

// begin looks at the beginning of the part's image and returns its first used bytes.
func (r *restore) begin(ctx context.Context, p *part) (off int64, first []byte, err error) {
	if r.delivery != nil {
		return r.mapFile(ctx, p)
	}
	s, err := r.open(ctx, p)
	if err != nil {
		return 0, nil, err
	}
	defer s.close()
	off, first, err = s.reader.Next()
	if err == io.EOF {
		err = nil // nothing is used
	}
	return off, bytes.Clone(first), err
}

// fetchIndex gets the chunk index by which the part will be verified.
func (r *restore) fetchIndex(ctx context.Context, p *part) error {
	err := r.fetch(ctx, "fetching the chunk index", func() (io.ReadCloser, error) { return r.server.OpenChunks(ctx, p.image) },
		func(body io.Reader) (err error) {
			p.index, err = format.ReadIndex(body)
			return err
		})
	if err != nil {
		return err
	}
	if got, want := p.index.Info.RequiredBytes, p.image.RequiredBytes; got > want {
		return fmt.Errorf("%w: it needs %d bytes, its record says %d", format.ErrCorrupt, got, want)
	}
	return checkIndex(p.index, p.image.UsedBytes, p.place.Bytes)
}

// fetch reads what the server has beside an image. A connection that breaks is tried again, which does not mend what read says otherwise.
func (r *restore) fetch(ctx context.Context, what string, open func() (io.ReadCloser, error), read func(io.Reader) error) error {
	var damage error
	err := retry(ctx, r.log, what, func() error {
		body, err := open()
		if err != nil {
			return err
		}
		defer body.Close()
		connection := &errorKeeper{r: body}
		damage = read(connection)
		return connection.err
	})
	if err != nil {
		return err
	}
	return damage
}

// An errorKeeper remembers how a connection failed, apart from what its reader makes of that.
type errorKeeper struct {
	r   io.Reader
	err error
}

// Read implements io.Reader.
func (k *errorKeeper) Read(p []byte) (int, error) {
	n, err := k.r.Read(p)
	if err != nil && err != io.EOF {
		k.err = err
	}
	return n, err
}
