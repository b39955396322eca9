package lzop

import "errors"

const (
	// slack is how many bytes behind its input and its output decompress may touch, so that short copies are made in whole words.
	slack = 64

	// maxRatio bounds how many plain bytes one packed byte can make: each further zero of a length stands for 255.
	maxRatio = 255
)

var (
	errPacked = errors.New("packed bytes end too early")
	errRest   = errors.New("packed bytes go on after their end")
	errPlain  = errors.New("it has more plain bytes than it claims")
	errFewer  = errors.New("it has fewer plain bytes than it claims")
	errBack   = errors.New("it refers to bytes before its beginning")
)

// decompress unpacks LZO1X.
func decompress(dst, src []byte) error {
	return errPacked
}
