package roster

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"aula/clientos/protocol"
	"aula/imagestore"
	"aula/imagestore/format"
)

const (
	// maxMaps is how many maps of image files are kept: one of 20 GiB in lzop takes half a MiB.
	maxMaps = 16
	// mapLimit is how long a PC waits for a map that is being made before it is asked to come again. The blocks of an lzop file are found by a read of
	// each one's head: 10 ms for a GiB from memory, half a second from a disk, and from a slow one nearly as long as to read it all.
	mapLimit = 20 * time.Second
)

var errMapping = errors.New("the map of the image file is still being made")

// maps are those of image files which do not tell themselves where their parts are, as a PC asked for them lately. They are made of the stored
// file, each once, however many PCs of a room ask at the same time, and not kept across a restart.
type maps struct {
	mu   sync.Mutex
	made []*fileMap // the oldest first
}

// A fileMap is one that has been made, or is being made until ready is closed.
type fileMap struct {
	digest string // BLAKE3 of the image file
	ready  chan struct{}
	form   []byte // as format.FileMap writes it
	err    error
}

// of returns the map of an image, and begins to make it when there is none. What has failed is tried again by who asks the next time.
func (m *maps) of(digest string, begin func(*fileMap)) *fileMap {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.IndexFunc(m.made, func(f *fileMap) bool { return f.digest == digest }); i >= 0 {
		return m.made[i]
	}
	f := &fileMap{digest: digest, ready: make(chan struct{})}
	m.made = append(m.made, f)
	if len(m.made) > maxMaps {
		m.made = slices.Delete(m.made, 0, 1) // who waits for it still has it
	}
	begin(f)
	return f
}

// end tells all who wait what came of it.
func (m *maps) end(f *fileMap, form []byte, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.made = slices.DeleteFunc(m.made, func(other *fileMap) bool { return other == f })
	}
	f.form, f.err = form, err
	close(f.ready)
}

// openMap answers the map of an image's file, which it makes when there is none yet.
func (r *Roster) openMap(repository, name string, revision int) (part, error) {
	img, err := r.cfg.Images.Revision(repository, name, revision)
	if err != nil {
		return nil, err
	}
	f := r.maps.of(img.Blake3, func(f *fileMap) {
		r.open.Go(func() {
			form, err := r.makeMap(repository, img)
			r.maps.end(f, form, err)
		})
	})
	timer := time.NewTimer(mapLimit)
	defer timer.Stop()
	select {
	case <-f.ready:
	case <-timer.C:
		return nil, errMapping
	case <-r.stopping:
		return nil, errStopping
	}
	if f.err != nil {
		return nil, f.err
	}
	return inMemory{bytes.NewReader(f.form)}, nil
}

// makeMap reads the stored file's blocks from head to head.
func (r *Roster) makeMap(repository string, img imagestore.Image) ([]byte, error) {
	chunks, err := r.cfg.Images.OpenChunks(repository, img.Name, img.Revision)
	if err != nil {
		return nil, err
	}
	defer chunks.Close()
	index, err := format.ReadIndex(chunks)
	if err != nil {
		return nil, err
	}
	file, err := r.cfg.Images.OpenFile(repository, img.Name, img.Revision)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	m, err := format.MapFile(stoppable{file, r.stopping}, img.FileBytes, index)
	if err != nil {
		return nil, err
	}
	var form bytes.Buffer
	_, err = m.WriteTo(&form)
	return form.Bytes(), err
}

// A stoppable is a file that can be read until the server stops.
type stoppable struct {
	file     *os.File
	stopping <-chan struct{}
}

// ReadAt implements io.ReaderAt.
func (u stoppable) ReadAt(b []byte, offset int64) (int, error) {
	select {
	case <-u.stopping:
		return 0, errStopping
	default:
		return u.file.ReadAt(b, offset)
	}
}

// A part is what a PC reads of a revision.
type part interface {
	io.ReadSeekCloser
	Size() (int64, error)
}

// A stored part is a file of the repository.
type stored struct{ *os.File }

func (s stored) Size() (int64, error) {
	info, err := s.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// A part inMemory is one that was made for it.
type inMemory struct{ *bytes.Reader }

func (m inMemory) Size() (int64, error) { return m.Reader.Size(), nil }
func (inMemory) Close() error           { return nil }

func (r *Roster) openPart(which, repository, name string, revision int) (part, error) {
	var f *os.File
	var err error
	switch which {
	case protocol.ImagePart:
		f, err = r.cfg.Images.OpenFile(repository, name, revision)
	case protocol.ChunksPart:
		f, err = r.cfg.Images.OpenChunks(repository, name, revision)
	case protocol.TorrentPart:
		f, err = r.cfg.Images.OpenTorrent(repository, name, revision)
	case protocol.MapPart:
		return r.openMap(repository, name, revision)
	default:
		return nil, errNoPart
	}
	if err != nil {
		return nil, err
	}
	return stored{f}, nil
}
