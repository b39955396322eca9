package format

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// JoinPartimage writes the volumes of a split partimage image, in their order and each perhaps compressed on its own, as one
// plain stream that Reader and partimage accept: the header of the first volume, the content of all, and a tail that says
// that it is in the first volume. One volume is a set as well. An error wraps ErrNotImage when a volume is no partimage
// volume, ErrCorrupt when the volumes do not belong together or the end is missing, or is that of dst or of a volume; what
// was written until then is no image. The content is not checked any further; Reader does that.
func JoinPartimage(dst io.Writer, volumes []io.Reader) error {
	if len(volumes) == 0 {
		return errors.New("no partimage volumes to join")
	}
	out := &tailWriter{w: bufio.NewWriterSize(dst, 256<<10)}
	var id uint64
	for i, v := range volumes {
		first, err := joinVolume(out, v, uint32(i), id)
		if err != nil {
			return fmt.Errorf("partimage volume %d of %d: %w", i+1, len(volumes), err)
		}
		id = first
	}
	if err := out.finish(); err != nil {
		return err
	}
	return out.w.Flush()
}

// joinVolume copies a volume, which must have the number and, but for the first, the identity. It returns the identity.
func joinVolume(out *tailWriter, volume io.Reader, number uint32, identity uint64) (uint64, error) {
	plain, _, err := Decompress(volume)
	if err != nil {
		return 0, err
	}
	defer plain.Close()
	header := make([]byte, partimageVolumeLen)
	if _, err := io.ReadFull(plain, header); err == io.EOF || err == io.ErrUnexpectedEOF {
		return 0, fmt.Errorf("%w: it is too short", ErrNotImage)
	} else if err != nil {
		return 0, err
	}
	le := binary.LittleEndian
	id := le.Uint64(header[100:])
	switch n := le.Uint32(header[96:]); {
	case !bytes.HasPrefix(header, []byte(partimageMagic)):
		return 0, fmt.Errorf("%w: it has no partimage volume header", ErrNotImage)
	case n != number:
		return 0, damaged("it is number %d of its set, counted from 0, in place of number %d: a volume is missing or out of order", n, number)
	case number == 0:
		if _, err := out.Write(header); err != nil {
			return 0, err
		}
	case id != identity:
		return 0, damaged("it belongs to another image")
	}
	_, err = io.Copy(out, plain)
	return id, err
}

// A tailWriter holds back the last bytes of a partimage image, until it is known that they are its tail.
type tailWriter struct {
	w    *bufio.Writer
	held []byte
}

const partimageTailLen = len(partimageTailMark) + partimageRecordLen

// Write implements io.Writer.
func (t *tailWriter) Write(p []byte) (int, error) {
	t.held = append(t.held, p...)
	if n := len(t.held) - partimageTailLen; n > 0 {
		if _, err := t.w.Write(t.held[:n]); err != nil {
			return 0, err
		}
		t.held = append(t.held[:0], t.held[n:]...)
	}
	return len(p), nil
}

// finish writes the tail with the number of the first volume.
func (t *tailWriter) finish() error {
	if len(t.held) != partimageTailLen || !bytes.HasPrefix(t.held, []byte(partimageTailMark)) {
		return damaged("the last partimage volume has no end: it is truncated, or volumes are missing")
	}
	binary.LittleEndian.PutUint32(t.held[len(partimageTailMark)+8:], 0)
	_, err := t.w.Write(t.held)
	return err
}
