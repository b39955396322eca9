package torrent

import "io"

// A Storage keeps the pieces of one torrent. WritePiece is called from one goroutine at a time, ReadAt from many.
type Storage interface {
	// Have tells, once and first, which pieces are there; the answer has a flag for each piece. What is doubtful has been checked against the torrent.
	Have() ([]bool, error)
	// WritePiece stores a piece whose SHA-1 is right. Pieces come in any order. An error ends the task.
	WritePiece(piece int, b []byte) error
	// ReadAt reads bytes of pieces that are there, as io.ReaderAt has it. A piece that is there no longer is an error wrapping ErrGone.
	io.ReaderAt
	// Finish is called once every piece has been written: the file is complete and on the disk once it returns nil.
	Finish() error
	// Close frees what is held. What was not finished can be gone on with later.
	Close() error
}

// A Forgetful storage does not keep what it has written.
type Forgetful interface {
	Storage
	// Forgotten returns pieces that were written and can be read no more, each once.
	Forgotten() []int
}
