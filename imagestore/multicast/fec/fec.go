// Package fec makes repair symbols of blocks, and blocks of any sufficient number of their symbols: a systematic
// Reed–Solomon code over GF(2^8) with a Cauchy matrix, each symbol of which can be made alone.
//
// A block is k source symbols, numbered from 0; its repair symbols are numbered from k. Any k of these [MaxSymbols] symbols make the
// whole block, so one repair symbol that is sent to many receivers answers a different loss at each of them. No other code of this
// size does with fewer (RFC 5052 calls such a code maximum distance separable).
//
// The code corrects erasures, not errors: whoever calls it knows which symbols are missing and that the others are as they were sent.
// A symbol that was changed on its way makes a wrong block without an error; the seal of each datagram has to exclude that.
package fec
