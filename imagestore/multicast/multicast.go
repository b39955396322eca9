// Package multicast sends a file to any number of receivers at once, over UDP multicast, in the time of one.
//
// One Sender sends the blocks of a Source, and each Receiver puts them into a Sink, in any order. What receivers lose is mended with
// Reed–Solomon repair symbols, one of which serves many losses; receivers that are slow, silent or late never hold the others
// and get what they miss afterwards. docs/multicast.md has the protocol.
//
// It moves named bytes between peers and knows nothing of computers, classrooms or images. The same engine sends from the appliance
// and from a PC.
package multicast

import (
	"io"

	"aula/imagestore/multicast/fec"
)

// BlockSize is how many bytes of the content a block carries, but for the last, which carries the rest.
const BlockSize = sourceSymbols*symbolSize - digestSize

const (
	sourceSymbols = 128  // of a whole block
	symbolSize    = 1440 // bytes: with the header, the tag, UDP and IP it fills the 1500 bytes of an Ethernet packet
	digestSize    = 32   // BLAKE3 of all before it, at the end of the last source symbol
	maxSymbols    = fec.MaxSymbols
	maxBlocks     = 1 << 31 // of a content, less one: 360 TiB
)

// A Content says what a session sends.
type Content struct {
	// ID is the same for the same bytes only: a receiver that has a part of them goes on with it.
	ID [32]byte
	// Name is told to people: at most 255 bytes of UTF-8.
	Name string
	// Size in bytes; Unknown of a stream that has not ended.
	Size int64
}

// Unknown is the size of a stream that has not ended.
const Unknown = -1

// blocks returns the number of blocks of content of that many bytes.
func blocks(size int64) int64 { return (size + BlockSize - 1) / BlockSize }

// A Source is what a Sender sends. Its methods are called from one goroutine at a time.
type Source interface {
	// Content tells what it is; the size may be Unknown until ReadAt has met the end.
	Content() Content
	// ReadAt is as io.ReaderAt has it. Of a stream it waits for the bytes to come, and answers ErrGone for bytes that were not kept.
	io.ReaderAt
}

// A Sink takes what a Receiver receives. Its methods are called from one goroutine at a time, Begin first.
type Sink interface {
	// Begin is told what will come, and answers which of its blocks are here already from an earlier session: nil for none.
	// The size may be Unknown. It may be called again with the same ID, when the size has become known.
	Begin(Content) (*Blocks, error)
	// WriteBlock takes the bytes of one block, of which the sender's checksum is right. Blocks come in any order, each once.
	WriteBlock(offset int64, b []byte) error
	// Finish is called when every block has been written. The content is complete, as its size is known, once it returns nil.
	Finish(Content) error
}
