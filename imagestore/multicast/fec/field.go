package fec

// A field is GF(2^8) with the polynomial x^8+x^4+x^3+x^2+1, as logarithms to the base of the generator x. It has to be the field of
// the multiplications in package reedsolomon, to which the coefficients made here are given.
//
// Addition and subtraction are both xor. Products are sums of logarithms, which may be added up freely, and negated, before exp
// takes them to their place.
type field struct {
	logs [256]uint8       // the logarithm of each element but 0, which has none
	exps [fieldOrder]byte // the element of each logarithm
}

const (
	fieldPolynomial = 0x11d
	fieldOrder      = 255 // of the multiplicative group: x to this power is 1
)

func newField() field {
	var f field
	element := 1
	for log := range fieldOrder {
		f.logs[element] = uint8(log)
		f.exps[log] = byte(element)
		element <<= 1
		if element > 0xff {
			element ^= fieldPolynomial
		}
	}
	return f
}

// logDifference returns the logarithm of the difference of two symbols' numbers, which must not be the same.
func (f *field) logDifference(a, b int) int { return int(f.logs[byte(a^b)]) }

// exp returns the element with that logarithm, which may be any number.
func (f *field) exp(log int) byte {
	log %= fieldOrder
	if log < 0 {
		log += fieldOrder
	}
	return f.exps[log]
}
