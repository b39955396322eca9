package fec

// repairCoefficient returns by what a source symbol is multiplied in a repair symbol: 1/(repair-source), an element of a Cauchy
// matrix, of which every square part can be inverted.
func (f *field) repairCoefficient(repair, source int) byte {
	return f.exp(-f.logDifference(repair, source))
}

// A recovery knows by what the symbols at hand are multiplied in those that are missing.
//
// Solving a system of equations would find that; but for a Cauchy matrix it is known beforehand. Repair symbol j is the sum of all
// s(i)/(j-i), and that is P(j)/A(j), where A(z) is the product of all z-i, and P a polynomial of a degree below k with s(i) = P(i)/A'(i).
// All symbols are therefore values of P up to known factors, and k of them give any other by Lagrange's interpolation. What is
// left of it when A is cancelled: with
//
//	M(z), the product of z-m over the missing source symbols m,
//	R(z), the product of z-r over the repair symbols r at hand,
//
// each without a factor that is 0, the coefficient of symbol y in missing symbol m is
//
//	R(m)/M(m) · M(y)/R(y) · 1/(m-y)
//
// which takes as many steps for each y as symbols are missing, and no inversion.
type recovery struct {
	field   *field
	missing []int // source symbols
	repairs []int // repair symbols, as many

	ofMissing [MaxSymbols]int // logarithms of R(m)/M(m), as missing
}

func newRecovery(f *field, missing, repairs []int) *recovery {
	r := &recovery{field: f, missing: missing, repairs: repairs}
	for i, m := range missing {
		r.ofMissing[i] = -r.logRatio(m)
	}
	return r
}

// coefficients sets dst to those of a symbol at hand in each of the missing ones.
func (r *recovery) coefficients(dst []byte, symbol int) {
	ofSymbol := r.logRatio(symbol)
	for i, m := range r.missing {
		dst[i] = r.field.exp(r.ofMissing[i] + ofSymbol - r.field.logDifference(m, symbol))
	}
}

// logRatio returns the logarithm of M(z)/R(z).
func (r *recovery) logRatio(z int) int {
	log := 0
	for _, m := range r.missing {
		if m != z {
			log += r.field.logDifference(m, z)
		}
	}
	for _, repair := range r.repairs {
		if repair != z {
			log -= r.field.logDifference(repair, z)
		}
	}
	return log
}
