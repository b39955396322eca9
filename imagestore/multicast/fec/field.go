package fec

// A field is GF(2^8) with the polynomial x^8+x^4+x^3+x^2+1, as logarithms to the base x. It has to be the field that the library
// multiplies symbols in, to which the coefficients made here are given.
//
// Addition and subtraction are both xor. A product of many differences is made as the sum of their logarithms.
type field struct {
	logs [256]uint8       // of each element but 0, which has none
	exps [groupOrder]byte // the element with each logarithm
}

const (
	polynomial = 0x11d
	groupOrder = 255 // how many elements have a logarithm; x to this power is 1
)

func newField() field {
	var f field
	element := 1
	for log := range groupOrder {
		f.logs[element] = uint8(log)
		f.exps[log] = byte(element)
		element <<= 1
		if element > 0xff {
			element ^= polynomial
		}
	}
	return f
}

// logDifference returns the logarithm of the difference of two different symbols' numbers.
func (f *field) logDifference(a, b int) int { return int(f.logs[byte(a^b)]) }

// reduce returns the logarithm, 0 to 254, of the same element as a sum of at most MaxSymbols logarithms, added or subtracted.
func reduce(log int) int {
	return int(uint(log+MaxSymbols*groupOrder) % groupOrder)
}

// exp returns the element with that logarithm, which reduce could be given.
func (f *field) exp(log int) byte { return f.exps[reduce(log)] }
