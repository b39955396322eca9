package bzip2

// An expansion is how far the plain bytes of a block have been put out. In a block, four equal bytes are followed by a number, from 0 to
// 255, of how many more there are.
type expansion struct {
	at    uint32 // place of the next byte
	left  int    // bytes of the block that have not been looked at
	last  byte
	equal int    // how many of last have just been, up to 4
	more  int    // how many of last are to come
	crc   uint32 // of what was put out
}

// expand puts out as many of the plain bytes as fit and returns how many; fewer than fit when they have ended.
func (k *block) expand(dst []byte) (n int) {
	s := &k.state
	next := k.next[:k.size]
	at, left, last, equal := s.at, s.left, s.last, s.equal
	for n < len(dst) {
		if s.more > 0 {
			m := min(s.more, len(dst)-n)
			for i := range dst[n : n+m] {
				dst[n+i] = last
			}
			n += m
			s.more -= m
			continue
		}
		if left == 0 {
			break
		}
		entry := next[at]
		at = entry >> 8
		left--
		v := byte(entry)
		if equal == 4 {
			s.more, equal = int(v), 0
			continue
		}
		if v != last {
			equal = 0
		}
		last = v
		equal++
		dst[n] = v
		n++
	}
	s.at, s.left, s.last, s.equal = at, left, last, equal
	s.crc = updateCRC(s.crc, dst[:n])
	return n
}

// done tells whether expand has put out everything.
func (k *block) done() bool { return k.state.left == 0 && k.state.more == 0 }

// check compares the checksum of what was put out.
func (k *block) check() error {
	if got := ^k.state.crc; got != k.crc {
		return corrupt("block has checksum %08x and should have %08x", got, k.crc)
	}
	return nil
}
