package fec

// repairCoefficient returns what a source symbol is multiplied by in a repair symbol: 1/(repair-source). These are the elements of a
// Cauchy matrix, each square part of which can be inverted.
func (f *field) repairCoefficient(repair, source int) byte {
	return f.exp(-f.logDifference(repair, source))
}

// A recovery knows what each symbol at hand is multiplied by in each missing one, k x e coefficients for e missing symbols.
//
// With a Cauchy matrix no equations have to be solved for that. Repair symbol j is the sum of s(i)/(j-i) over all source symbols s(i).
// Brought to one denominator it is P(j)/A(j), where A(z) is the product of all z-i and P a polynomial of a degree below k, of which
// P(i) = s(i)·A'(i). So all symbols are values of P but for known factors, and Lagrange's interpolation makes any value of any k others.
// In what it says A cancels out. With
//
//	M(z), the product of z-m over the missing source symbols m, and
//	R(z), the product of z-r over the repair symbols r,
//
// both without the factor that is 0, if there is one, the coefficient of the symbol y at hand in the missing symbol m is
//
//	M(y)/R(y) / (M(m)/R(m)) / (m-y)
//
// that is, weight(y) / weight(m) / (m-y).
type recovery struct {
	field     *field
	repairs   []int
	isMissing [MaxSymbols]bool
	weights   [MaxSymbols]uint8 // logarithms of M(z)/R(z), of source symbols and of these repairs
}

// newRecovery returns that of the missing ones of k source symbols, of the others and of as many repairs as are missing.
func newRecovery(f *field, k int, missing, repairs []int) recovery {
	r := recovery{field: f, repairs: repairs}
	for _, m := range missing {
		r.isMissing[m] = true
	}
	for source := range k {
		r.weights[source] = r.weight(source, missing)
	}
	for _, repair := range repairs {
		r.weights[repair] = r.weight(repair, missing)
	}
	return r
}

// weight needs no exception for a factor that is 0: the field has 0 in place of the logarithm of 0, as if the factor were 1.
func (r *recovery) weight(z int, missing []int) uint8 {
	log := 0
	for i, m := range missing {
		log += r.field.logDifference(z, m) - r.field.logDifference(z, r.repairs[i])
	}
	return uint8(reduce(log))
}

// coefficient returns what the symbol with that number, which is at hand, is multiplied by in a missing one.
func (r *recovery) coefficient(missing, symbol int) byte {
	return r.field.exp(int(r.weights[symbol]) - int(r.weights[missing]) - r.field.logDifference(missing, symbol))
}
