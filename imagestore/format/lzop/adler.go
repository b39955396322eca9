package lzop

import "hash/adler32"

// adlerOf is the Adler-32 of p (RFC 1950, section 8.2).
func adlerOf(p []byte) uint32 { return adler32.Checksum(p) }
