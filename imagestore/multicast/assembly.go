package multicast

import (
	"bytes"
	"fmt"
	"math/bits"

	"github.com/zeebo/blake3"

	"aula/imagestore/multicast/fec"
)

// An assembly is a block of which some symbols have come.
type assembly struct {
	block   int64
	sources int
	data    []byte // the source symbols, in their places
	repairs []byte // repair symbols, as they came
	ids     []int  // theirs
	have    [maxSymbols / 64]uint64
	lacks   int // symbols that complete it
}

// blockBuffer is the size of an assembly's data.
const blockBuffer = sourceSymbols * symbolSize

// begin makes the assembly one of another block.
func (a *assembly) begin(block int64, sources int) {
	if a.data == nil {
		a.data = make([]byte, blockBuffer)
	}
	*a = assembly{block: block, sources: sources, lacks: sources, data: a.data, repairs: a.repairs[:0], ids: a.ids[:0]}
}

func (a *assembly) has(symbol int) bool { return a.have[symbol>>6]&(1<<(symbol&63)) != 0 }

// place returns an empty slice with the place of a symbol behind it.
func (a *assembly) place(symbol int) []byte {
	if symbol < a.sources {
		at := symbol * symbolSize
		return a.data[at : at : at+symbolSize]
	}
	n := len(a.repairs)
	if cap(a.repairs) < n+symbolSize {
		a.repairs = append(a.repairs, make([]byte, symbolSize)...)[:n]
	}
	return a.repairs[n : n : n+symbolSize]
}

// put notes that the symbol is in its place.
func (a *assembly) put(symbol int) {
	a.have[symbol>>6] |= 1 << (symbol & 63)
	a.lacks--
	if symbol >= a.sources {
		a.repairs = a.repairs[:len(a.repairs)+symbolSize]
		a.ids = append(a.ids, symbol)
	}
}

// complete makes the block of its symbols and compares it with the sender's checksum.
func (a *assembly) complete(code *fec.Code) error {
	if len(a.ids) > 0 {
		if err := code.Decode(a.data[:a.sources*symbolSize], a.missing(), a.ids, a.repairs); err != nil {
			return fmt.Errorf("block %d: %w", a.block, err)
		}
	}
	body := a.data[:a.sources*symbolSize-digestSize]
	if digest := blake3.Sum256(body); !bytes.Equal(digest[:], a.data[len(body):len(body)+digestSize]) {
		return fmt.Errorf("block %d is not what the sender's checksum says", a.block)
	}
	return nil
}

// missing lists the source symbols that did not come.
func (a *assembly) missing() []int {
	missing := make([]int, 0, len(a.ids))
	for i := range a.have {
		for absent := ^a.have[i]; absent != 0; absent &= absent - 1 {
			symbol := i<<6 + bits.TrailingZeros64(absent)
			if symbol >= a.sources {
				return missing
			}
			missing = append(missing, symbol)
		}
	}
	return missing
}

// sourcesOf returns how many source symbols a block of content of that size has, and how many bytes it carries: none beyond the end.
func sourcesOf(size, block int64) (symbols int, length int) {
	length = BlockSize
	if size != Unknown {
		length = int(max(min(size-block*BlockSize, BlockSize), 0))
	}
	return (length + digestSize + symbolSize - 1) / symbolSize, length
}

// pack lays the bytes of a block, which stand at the begin of b, out as its source symbols: zeros and the checksum behind them.
func pack(b []byte, length int) (symbols int) {
	symbols = (length + digestSize + symbolSize - 1) / symbolSize
	end := symbols*symbolSize - digestSize
	clear(b[length:end])
	digest := blake3.Sum256(b[:end])
	copy(b[end:], digest[:])
	return symbols
}
