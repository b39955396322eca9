package clone

import (
	"context"
	"errors"
	"fmt"
	"io"

	"aula/clientos/protocol"
	"aula/imagestore/format"
)

// A Delivery brings the files of images in blocks, in any order, as a swarm of BitTorrent or a multicast session does. The server still has the chunk
// index, and is asked for a few bytes of each file: the head, and the table of the parts that a zstd file of Aula ends with.
type Delivery interface {
	// BlockSize is how many bytes of an image's file come at once when they come in random order, such as a piece of its torrent: images for
	// which the memory would not do then are refused before anything is written. 0 when Deliver keeps to the Budget of the Scatters by itself.
	BlockSize(ctx context.Context, image protocol.Image) (int64, error)
	// Deliver hands over each byte of each image's file to its Scatter's WriteBlock, once, from one goroutine at a time for all of them, and returns when all
	// are there, or why they are not. It may call Sync of a Scatter as well, but neither Finish nor Close.
	Deliver(ctx context.Context, images []Placed) error
}

// A Placed is an image that is being delivered, and where its file's bytes go.
type Placed struct {
	Image protocol.Image
	To    *Scatter
}

// A MapServer is a Server that has the maps of image files which do not tell themselves where their parts are, such as those of lzop.
type MapServer interface {
	// OpenMap opens what FileMap.WriteTo has written of a revision. A *protocol.Failure says that there is none.
	OpenMap(ctx context.Context, image protocol.Image) (io.ReadCloser, error)
}

// ScatterNeeds tells how much memory a Scatter takes for a file that comes in blocks of size bytes: usual is what blocks in random order take when half of
// them are there, most what they take in the worst order, which has every other block first. Both are for parts that are cut by a block's end, and
// edges.
func ScatterNeeds(m *format.FileMap, size int64) (usual, most int64) {
	if size < 1 {
		return 0, 0
	}
	for _, p := range m.Parts {
		first, last := p.Offset/size, (p.End()-1)/size
		if first == last {
			continue
		}
		// Blocks of which the part has n in all hold what has come of it until the last is there: without the smaller of those at its ends, at most.
		smaller := min((first+1)*size-p.Offset, p.End()-last*size)
		if last-first == 1 {
			usual += int64(p.Packed) / 4
		} else {
			usual += int64(p.Packed) / 2
		}
		most += int64(p.Packed) - smaller
	}
	ends := m.Size/size + 1
	return usual + ends*edgeSize/2, most + ends*edgeSize
}

// mapFile makes the map of a part's file and returns its first used bytes, unless the sector size is known. It refuses an image that cannot be taken in any order.
func (r *restore) mapFile(ctx context.Context, p *part) (off int64, first []byte, err error) {
	file := &remoteFile{ctx: ctx, restore: r, image: p.image}
	p.parts, err = r.findParts(ctx, p, file)
	if errors.Is(err, format.ErrOrdered) {
		return 0, nil, inOrder(p, err)
	}
	if err != nil {
		return 0, nil, err
	}
	if err := r.remember(ctx, p); err != nil {
		return 0, nil, err
	}
	if len(p.index.Chunks) == 0 || p.image.SectorSize != 0 { // nobody asks: a room need not fetch it
		return 0, nil, nil
	}
	first, err = p.parts.First(file)
	used := p.index.Chunks[0].Used[0]
	return used.Offset, first[:min(int64(len(first)), used.Length)], err
}

// remember adds what a part takes of memory to what those before it take, as all of them wait at the same time, and refuses what is too much.
func (r *restore) remember(ctx context.Context, p *part) error {
	size, err := r.delivery.BlockSize(ctx, p.image)
	if err != nil {
		return err
	}
	usual, _ := ScatterNeeds(p.parts, size)
	if size == 0 {
		usual = stretchNeeds(p.parts)
	}
	r.waiting += usual
	if limit := NewBudget(r.memory).limit; r.waiting > limit {
		what := "image " + p.image.Name + " takes"
		if r.waiting > usual {
			what = "the images up to " + p.image.Name + " take"
		}
		return failure(protocol.ErrImage,
			fmt.Sprintf("%s about %d MiB of memory when written as it comes, and there are %d", what, r.waiting>>20, limit>>20),
			"restore through the computer's cache, or as a stream from the server; nothing was written").because(ErrScattered)
	}
	return nil
}

// findParts makes the map of a file by what is in it, or gets it from the server.
func (r *restore) findParts(ctx context.Context, p *part, file *remoteFile) (m *format.FileMap, err error) {
	c := p.index.Info.Compressor
	if c == format.None || c == format.Zstd {
		return format.MapFile(file, p.image.FileBytes, p.index)
	}
	server, ok := r.server.(MapServer)
	if !ok {
		return nil, fmt.Errorf("%w: a %s file has no table of its parts, and the server has no map of them", format.ErrOrdered, c)
	}
	err = r.fetch(ctx, "fetching the map of the image file", func() (io.ReadCloser, error) { return server.OpenMap(ctx, p.image) },
		func(body io.Reader) (err error) {
			m, err = format.ReadFileMap(body, p.image.FileBytes, p.index)
			return err
		})
	if final := (*protocol.Failure)(nil); errors.As(err, &final) && final.Code == protocol.ErrNotFound {
		err = fmt.Errorf("%w: %w", format.ErrOrdered, err)
	}
	return m, err
}

// inOrder is the refusal of an image that is one stream.
func inOrder(p *part, err error) error {
	return failure(protocol.ErrImage, fmt.Sprintf("image %s cannot be written as it comes: %v", p.image.Name, err),
		"restore it through the computer's cache or as a stream from the server, or convert it to zstd; nothing was written").because(err)
}

// fill writes the images of all parts to their places.
func (r *restore) fill(ctx context.Context) error {
	if r.delivery != nil {
		return r.takeDelivery(ctx)
	}
	for _, p := range r.parts {
		if err := r.write(ctx, p); err != nil {
			return p.about(err)
		}
	}
	return nil
}

// takeDelivery has all images delivered at once: the blocks of a session come in any order.
func (r *restore) takeDelivery(ctx context.Context) error {
	var placed []Placed
	budget := NewBudget(r.memory)
	for _, p := range r.parts {
		s := NewScatter(ctx, ScatterConfig{
			Map: p.parts, Index: p.index, Target: p.file, Size: p.place.Bytes, Budget: budget, Done: r.meter.add, strain: r.strain,
		})
		defer s.Close()
		placed = append(placed, Placed{Image: p.image, To: s})
	}
	if err := r.delivery.Deliver(ctx, placed); err != nil {
		return err
	}
	for i, p := range r.parts {
		if err := placed[i].To.Finish(); err != nil {
			return p.about(err)
		}
	}
	return nil
}

// A remoteFile reads a few bytes of an image's file from the server, with a request for each read.
type remoteFile struct {
	ctx     context.Context // of every read, because ReadAt has none
	restore *restore
	image   protocol.Image
}

// ReadAt implements io.ReaderAt.
func (f *remoteFile) ReadAt(b []byte, offset int64) (int, error) {
	stream := OpenFile(f.ctx, f.restore.log, f.restore.server, f.image, offset, min(offset+int64(len(b)), f.image.FileBytes))
	defer stream.Close()
	n, err := io.ReadFull(stream, b)
	if err == io.ErrUnexpectedEOF {
		err = io.EOF
	}
	return n, err
}
