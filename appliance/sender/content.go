package sender

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"

	"github.com/zeebo/blake3"

	"aula/clientos/protocol"
	"aula/imagestore/multicast"
)

// A content is the files of images, one after the other, as a multicast.Source. The images are held while it is open.
type content struct {
	about    multicast.Content
	files    []placed
	releases []func()
}

// A placed file is where in the content it ends.
type placed struct {
	*os.File
	image image
	start int64
	end   int64
}

// openContent opens the files of images. The content's ID is the BLAKE3 of the digests of the files, as bytes, each followed by the size in 8 bytes, big
// endian, in order: the same files make the same content, whatever session sends them.
func openContent(images Images, o order) (*content, error) {
	c := &content{about: multicast.Content{Name: o.name()}}
	id := blake3.New()
	for _, i := range o.images {
		digest, err := c.open(images, i, o.session)
		if err != nil {
			c.close()
			return nil, err
		}
		last := c.files[len(c.files)-1]
		id.Write(digest)
		id.Write(binary.BigEndian.AppendUint64(nil, uint64(last.end-last.start)))
		c.about.Size = last.end
	}
	c.about.ID = [32]byte(id.Sum(nil))
	return c, nil
}

// open adds the file of an image, and returns its digest.
func (c *content) open(images Images, i image, session string) (digest []byte, err error) {
	release, err := images.Hold(i.repository, i.name, i.revision, "multicast session "+session)
	if err != nil {
		return nil, unreadable(i, err)
	}
	c.releases = append(c.releases, release)
	img, err := images.Revision(i.repository, i.name, i.revision)
	if err != nil {
		return nil, unreadable(i, err)
	}
	if i.digest != "" && i.digest != img.Blake3 {
		return nil, refuse(protocol.ErrImageFile, fmt.Sprintf("%s is another one than when the operation began", i), "start the operation again from the console")
	}
	if digest, err = hex.DecodeString(img.Blake3); err != nil {
		return nil, unreadable(i, err)
	}
	f, err := images.OpenFile(i.repository, i.name, i.revision)
	if err != nil {
		return nil, unreadable(i, err)
	}
	c.files = append(c.files, placed{f, i, c.about.Size, c.about.Size + img.FileBytes})
	return digest, nil
}

// Content implements multicast.Source.
func (c *content) Content() multicast.Content { return c.about }

// ReadAt implements multicast.Source. Errors are *Refusal.
func (c *content) ReadAt(b []byte, offset int64) (n int, err error) {
	i := sort.Search(len(c.files), func(i int) bool { return c.files[i].end > offset })
	for ; n < len(b); i++ {
		if i == len(c.files) {
			return n, io.EOF
		}
		f := c.files[i]
		want := b[n:min(int64(len(b)), int64(n)+f.end-offset)]
		m, err := f.File.ReadAt(want, offset-f.start)
		n, offset = n+m, offset+int64(m)
		switch {
		case m == len(want):
		case errors.Is(err, io.EOF):
			return n, unreadable(f.image, fmt.Errorf("its file ends at byte %d, and should have %d", offset-f.start, f.end-f.start))
		default:
			return n, unreadable(f.image, err)
		}
	}
	return n, nil
}

// close lets go of the images.
func (c *content) close() {
	for _, f := range c.files {
		f.Close() // it was only read
	}
	for _, release := range c.releases {
		release()
	}
}
