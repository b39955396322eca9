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

// decompress unpacks LZO1X. The last slack bytes of dst and of src belong to neither the plain nor the packed bytes; what they hold does not matter.
//
// The packed bytes are instructions. With b as the first byte of one, and lengths of which all bits are zero going on in the bytes that
// follow (each zero counts 255, and the first byte that is none ends it):
//
//	01ddLLL. is b >= 64    3 to 8 bytes from up to 2 KiB back: b = LLLDDDSS, distance DDD + next<<3 + 1
//	b = 001LLLLL           2 + L bytes from up to 16 KiB back; 33 + what follows if L is zero
//	b = 0001HLLL           2 + L bytes from 16 to 48 KiB back; 9 + what follows if L is zero; the end if the distance is 16 KiB
//	b = 0000LLLL           after no literals: 3 + L literals; 18 + what follows if L is zero
//	b = 0000DDSS           after 1 to 3 literals: 2 bytes from up to 1 KiB back, distance DD + next<<2 + 1
//	                       after more literals: 3 bytes from 2 to 3 KiB back, distance DD + next<<2 + 2049
//
// The two in the middle have their distance in the next two bytes, DDDDDDSS DDDDDDDD. SS is how many literals follow the instruction. A first
// byte above 17 is for as many literals more.
func decompress(dst, src []byte) error {
	size, end := len(dst)-slack, len(src)-slack
	var (
		op, ip   int // positions in dst and src
		literals int // before the instruction at ip: 0 to 3, 4 for more
	)
	if end > 0 && src[0] > 17 {
		n := int(src[0]) - 17
		if n > end-1 {
			return errPacked
		}
		if n > size {
			return errPlain
		}
		op, ip, literals = copy(dst, src[1:1+n]), 1+n, min(n, 4)
	}
	for ip < end {
		b := int(src[ip])
		if b < 16 && literals == 0 {
			n := 3 + b
			ip++
			if b == 0 {
				n, ip = length(18, src, ip, end)
			}
			if n > end-ip {
				return errPacked
			}
			if n > size-op {
				return errPlain
			}
			if n <= 32 {
				copy16(dst, op, src, ip)
				copy16(dst, op+16, src, ip+16)
			} else {
				copy(dst[op:op+n], src[ip:])
			}
			op += n
			ip += n
			literals = 4
			b = int(src[ip])
		}
		var distance, n, following int
		switch {
		case b >= 64:
			distance = 1 + b>>2&7 + int(src[ip+1])<<3
			n = 1 + b>>5
			following = b & 3
			ip += 2
		case b >= 32:
			n = 2 + b&31
			ip++
			if n == 2 {
				n, ip = length(33, src, ip, end)
			}
			d := load16(src, ip)
			distance = 1 + d>>2
			following = d & 3
			ip += 2
		case b >= 16:
			n = 2 + b&7
			ip++
			if n == 2 {
				n, ip = length(9, src, ip, end)
			}
			d := load16(src, ip)
			distance = 16<<10 + b>>3&1<<14 + d>>2
			following = d & 3
			ip += 2
			if distance == 16<<10 {
				return atEnd(ip, end, op, size)
			}
		case literals < 4:
			distance = 1 + b>>2 + int(src[ip+1])<<2
			n = 2
			following = b & 3
			ip += 2
		default:
			distance = 2049 + b>>2 + int(src[ip+1])<<2
			n = 3
			following = b & 3
			ip += 2
		}
		if distance > op || n > size-op {
			return badCopy(ip > end, distance > op)
		}
		if from := op - distance; distance >= 16 && n <= 32 {
			copy16(dst, op, dst, from)
			if n > 16 {
				copy16(dst, op+16, dst, from+16)
			}
		} else {
			copyBack(dst, op, distance, n)
		}
		op += n
		copy4(dst, op, src, ip)
		op += following
		ip += following
		literals = following
	}
	return errPacked
}

// atEnd tells whether the end came where it should.
func atEnd(ip, end, op, size int) error {
	switch {
	case ip > end:
		return errPacked
	case ip < end:
		return errRest
	case op > size:
		return errPlain
	case op < size:
		return errFewer
	}
	return nil
}

// badCopy tells what is wrong with an instruction to copy.
func badCopy(cut, back bool) error {
	switch {
	case cut:
		return errPacked
	case back:
		return errBack
	}
	return errPlain
}

// length reads on a length that has n without what follows at ip. Beyond the end it stops, which the caller will notice.
func length(n int, src []byte, ip, end int) (int, int) {
	for ip < end && src[ip] == 0 {
		n += 255
		ip++
	}
	return n + int(src[ip]), ip + 1
}

// copyBack copies n bytes from distance back, and what overlaps itself again and again. It touches up to 32 bytes more.
func copyBack(dst []byte, op, distance, n int) {
	from, end := op-distance, op+n
	if distance < 8 {
		p := &periods[distance]
		store64(dst, op, load64(dst, from)&p.mask*p.factor)
		op += 8
		from = op - p.distance
	}
	if n <= 32 {
		for ; op < end; op, from = op+8, from+8 {
			copy8(dst, op, dst, from)
		}
		return
	}
	for op < end {
		op += copy(dst[op:end], dst[from:op])
	}
}

// periods are how to fill a word from fewer than 8 bytes: those bytes are masked out and multiplied, then they are in the word again and again.
// The distance is the smallest multiple of the number of bytes that is no less than 8.
var periods = [8]struct {
	mask, factor uint64
	distance     int
}{
	1: {0xff, 0x0101010101010101, 8},
	2: {0xffff, 0x0001000100010001, 8},
	3: {0xffffff, 0x0001000001000001, 9},
	4: {0xffffffff, 0x0000000100000001, 8},
	5: {0xffffffffff, 0x0000010000000001, 10},
	6: {0xffffffffffff, 0x0001000000000001, 12},
	7: {0xffffffffffffff, 0x0100000000000001, 14},
}
