package format

import "io"

// JoinPartimage writes the volumes of a split partimage image, in their order and each perhaps compressed on its own, as one
// plain stream that Reader and partimage accept.
func JoinPartimage(dst io.Writer, volumes []io.Reader) error {
	return unsupported("partimage volumes cannot be joined yet")
}
