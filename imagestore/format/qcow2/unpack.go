package qcow2

import (
	"bytes"
	"compress/flate"
	"io"

	"github.com/klauspost/compress/zstd"
)

// unpacked is the compressed cluster that was read last, as neighbouring reads often want the same one.
type unpacked struct {
	zstd   bool
	entry  uint64 // whose data is in plain, 0 for none
	plain  []byte
	packed []byte

	inflate io.ReadCloser
	decoder *zstd.Decoder
}

// unpack returns the plain bytes of the compressed cluster of an L2 entry, valid until the next call.
func (d *Disk) unpack(entry uint64) ([]byte, error) {
	u := &d.packed
	if u.entry == entry {
		return u.plain, nil
	}
	// The lower bits are a byte offset, the upper ones count the sectors of 512 bytes after the first that the data touches.
	split := 62 - (d.h.clusterBits - 8)
	at := int64(entry & (1<<split - 1))
	sectors := int64(entry &^ entryPacked &^ (1 << 63) >> split)
	length := min((sectors+1)*512-at%512, d.fileSize-at)
	if at < headerLen2 || length <= 0 {
		return nil, damaged("a compressed cluster is said to be at byte %d of a file of %d", at, d.fileSize)
	}
	u.entry = 0
	if u.plain == nil {
		u.plain = make([]byte, d.h.cluster)
	}
	if int64(cap(u.packed)) < length {
		u.packed = make([]byte, length)
	}
	u.packed = u.packed[:length]
	if n, err := d.file.ReadAt(u.packed, at); n < len(u.packed) {
		return nil, damagedBy(err, "a compressed cluster at byte %d cannot be read", at)
	}
	if err := u.decode(); err != nil {
		return nil, damaged("the compressed cluster at byte %d: %v", at, err)
	}
	u.entry = entry
	return u.plain, nil
}

// decode fills plain from packed, which may go on after its end.
func (u *unpacked) decode() error {
	in := bytes.NewReader(u.packed)
	var out io.Reader
	var err error
	switch {
	case u.zstd && u.decoder == nil:
		u.decoder, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(4<<maxClusterBits))
		out = u.decoder
	case u.zstd:
		err, out = u.decoder.Reset(in), u.decoder
	case u.inflate == nil:
		u.inflate = flate.NewReader(in)
		out = u.inflate
	default:
		err, out = u.inflate.(flate.Resetter).Reset(in, nil), u.inflate
	}
	if err != nil {
		return err
	}
	_, err = io.ReadFull(out, u.plain)
	return err
}
