package bzip2

// crcTables are for the CRC-32 with the polynomial of hash/crc32.IEEE that takes the most significant bits first, which that package has not.
// Table i is for a byte with i more bytes behind it.
var crcTables = makeCRCTables()

func makeCRCTables() (t [8][256]uint32) {
	for i := range t[0] {
		crc := uint32(i) << 24
		for range 8 {
			crc = crc<<1 ^ 0x04c11db7*(crc>>31)
		}
		t[0][i] = crc
	}
	for n := range 7 {
		for i := range t[0] {
			crc := t[n][i]
			t[n+1][i] = crc<<8 ^ t[0][crc>>24]
		}
	}
	return t
}

// updateCRC goes on with crc over p.
func updateCRC(crc uint32, p []byte) uint32 {
	t := &crcTables
	for ; len(p) >= 8; p = p[8:] {
		q := (*[8]byte)(p)
		crc ^= uint32(q[0])<<24 | uint32(q[1])<<16 | uint32(q[2])<<8 | uint32(q[3])
		crc = t[7][crc>>24] ^ t[6][byte(crc>>16)] ^ t[5][byte(crc>>8)] ^ t[4][byte(crc)] ^
			t[3][q[4]] ^ t[2][q[5]] ^ t[1][q[6]] ^ t[0][q[7]]
	}
	for _, v := range p {
		crc = crc<<8 ^ t[0][byte(crc>>24)^v]
	}
	return crc
}
