package tftp

// A window says which blocks are on their way. Blocks are counted from 1 without end; on the wire their number is cut to 16 bits, so that
// 65535 is followed by 0.
type window struct {
	blocks int64 // of the file; the last is shorter than the others, maybe empty
	size   int64 // blocks that may be on their way
	acked  int64 // blocks that have arrived, from the first
	sent   int64 // the last block sent
	mute   bool  // an ACK of what is acknowledged already means nothing now
	again  bool  // the window was sent again since the last progress, because of a doubt
}

// A verdict says what an ACK means.
type verdict int

const (
	stale    verdict = iota // nothing: it is old, doubled, or of a block that was not sent
	progress                // all blocks have arrived: send what now fits the window
	partial                 // some have: send what fits, and doubt the others
	repeated                // none has: doubt those that are on their way
)

// ack takes the number of an ACK.
//
// In lockstep a repeated ACK means nothing: to answer it would double every packet to the file's end (sorcerer's apprentice, RFC 1123
// 4.2.3.1). In a window an ACK of what is not its end tells of a block that was lost (RFC 7440 4), or only of one that came twice or was
// overtaken. Which of these shows soon: the window is sent again when nothing more is acknowledged. That is done once where no block
// arrived at all, and not twice in a row, so that doubling dies out.
func (w *window) ack(n uint16) verdict {
	ahead, flight := int64(n-uint16(w.acked)), w.sent-w.acked
	switch {
	case ahead > flight || ahead == 0 && (w.mute || flight < 2):
		return stale
	case ahead == 0:
		return repeated
	}
	w.acked += ahead
	w.mute, w.again = w.again, false
	if ahead < flight {
		return partial
	}
	return progress
}

// rewind sets back to what has arrived, and returns how many blocks are to be sent again.
func (w *window) rewind(doubt bool) int {
	n := w.sent - w.acked
	w.sent, w.mute, w.again = w.acked, true, doubt
	return int(n)
}

// next returns the block to send now; ok is false when the window is full or the file at its end.
func (w *window) next() (block int64, ok bool) {
	if w.sent == w.blocks || w.sent-w.acked >= w.size {
		return 0, false
	}
	w.sent++
	return w.sent, true
}

func (w *window) done() bool { return w.acked == w.blocks }
