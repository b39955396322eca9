package format

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"

	"github.com/pierrec/lz4/v4"
)

// What lz4 files begin with (lz4, doc/lz4_Frame_format.md); the legacy one is that of "lz4 -l" and of the Linux kernel.
const (
	lz4Magic       = "\x04\x22\x4D\x18"
	lz4LegacyMagic = "\x02\x21\x4C\x18"
)

func isLZ4(head []byte) bool {
	return bytes.HasPrefix(head, []byte(lz4Magic)) || bytes.HasPrefix(head, []byte(lz4LegacyMagic))
}

// decodeLZ4 delivers the plain bytes of an lz4 file. One goroutine decodes as fast as any disk writes.
func (p *pipeline) decodeLZ4(in *bufio.Reader, src *source, _ int) {
	p.copyFrom(lz4.NewReader(in), func(err error) error {
		if errors.Is(err, lz4.ErrInvalidFrame) {
			err = fmt.Errorf("what follows the compressed data is not lz4")
		}
		return src.failure(err)
	})
}
