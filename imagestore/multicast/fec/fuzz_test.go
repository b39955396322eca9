package fec

import (
	"bytes"
	"slices"
	"testing"
)

// FuzzDecode gives Decode any arguments: symbols' numbers and lengths are as the network brings them. What it accepts it has to decode
// to the encoded block; what it refuses it has to leave alone.
func FuzzDecode(f *testing.F) {
	f.Add(uint8(4), uint8(3), []byte{0, 2}, []byte{1, 0}, int8(0), int8(0))
	f.Add(uint8(1), uint8(33), []byte{0}, []byte{254}, int8(0), int8(0))
	f.Add(uint8(255), uint8(1), []byte{254}, []byte{0}, int8(0), int8(0))
	f.Add(uint8(40), uint8(2), []byte("a whole line of many symbols"), []byte("THAT IS AS LONG AS THE OTHER"), int8(0), int8(0))
	f.Add(uint8(4), uint8(3), []byte{0, 0}, []byte{1, 1}, int8(0), int8(0))
	f.Add(uint8(4), uint8(3), []byte{200}, []byte{255}, int8(0), int8(0))
	f.Add(uint8(4), uint8(3), []byte{1}, []byte{1}, int8(-1), int8(0))
	f.Add(uint8(4), uint8(3), []byte{1}, []byte{1}, int8(0), int8(1))

	// Missing symbols are numbered from 0 in the bytes of missing, repair symbols from k-1 in those of ids; moreBlock and moreRepairs
	// are how many bytes too many there are.
	f.Fuzz(func(t *testing.T, k, size uint8, missing, ids []byte, moreBlock, moreRepairs int8) {
		if k == 0 || size == 0 {
			t.Skip("no code")
		}
		code := New(int(k), int(size))
		want := make([]byte, int(k)*int(size))
		for i := range want {
			want[i] = byte(i * i >> 3)
		}
		block := resize(slices.Clone(want), int(moreBlock))

		var sources, repairIDs []int
		for _, m := range missing {
			sources = append(sources, int(m))
			if int(m) < int(k) && moreBlock == 0 {
				clear(code.symbol(block, int(m)))
			}
		}
		var repairs []byte
		for _, id := range ids {
			symbol := make([]byte, size)
			repairIDs = append(repairIDs, int(k)-1+int(id))
			if r := int(k) - 1 + int(id); r >= int(k) && r < MaxSymbols {
				code.Encode(symbol, want, r)
			}
			repairs = append(repairs, symbol...)
		}
		repairs = resize(repairs, int(moreRepairs))

		before := slices.Clone(block)
		err := code.Decode(block, sources, repairIDs, repairs)
		if err != nil && !bytes.Equal(block, before) {
			t.Errorf("refused (%v), but the block was changed", err)
		}
		if err == nil && !bytes.Equal(block, want) {
			t.Errorf("k=%d size=%d: %v by %v: got another block than was encoded", k, size, sources, repairIDs)
		}
	})
}

// resize makes b longer by so many zeros, or shorter.
func resize(b []byte, more int) []byte {
	if more < 0 {
		return b[:max(0, len(b)+more)]
	}
	return append(b, make([]byte, more)...)
}
