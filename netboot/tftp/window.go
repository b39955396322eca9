package tftp

// A window says which blocks are on their way. Blocks are counted from 1 without end; on the wire their number is cut to 16 bits, so that
// 65535 is followed by 0.
type window struct {
	blocks int64 // of the file; the last is shorter than the others, maybe empty
	size   int64 // blocks that may be on their way
	acked  int64 // blocks that have arrived, from the first
	sent   int64 // the last block sent
	mute   bool  // an ACK of what is acknowledged already means nothing now
	again  bool  // such an ACK was obeyed since the last progress
}

// A verdict says what an ACK means.
type verdict int

const (
	stale    verdict = iota // nothing: it is old, doubled, or of a block that was not sent
	progress                // blocks have arrived: send what now fits the window
	gap                     // a block is missing: sent was set back to what has arrived
)

// ack takes the number of an ACK.
//
// A repeated ACK is never answered in lockstep: that would double every packet to the file's end (sorcerer's apprentice, RFC 1123 4.2.3.1). In
// a window it may say that the first block was lost (RFC 7440 4), and is obeyed once; but not when one was obeyed for the window before, of
// which it could be the echo, so that doubling dies out.
func (w *window) ack(n uint16) verdict {
	ahead, flight := int64(n-uint16(w.acked)), w.sent-w.acked
	switch {
	case ahead > flight:
		return stale
	case ahead == 0:
		if w.mute || flight < 2 {
			return stale
		}
		w.mute, w.again = true, true
		w.sent = w.acked
		return gap
	case ahead < flight:
		w.acked += ahead
		w.sent = w.acked
		w.mute, w.again = true, false // whoever tells each block that came after the gap tells it with the same ACK
		return gap
	default:
		w.acked += ahead
		w.mute, w.again = w.again, false
		return progress
	}
}

// rewind sets back to what has arrived, because nothing was heard.
func (w *window) rewind() {
	w.sent = w.acked
	w.mute = true
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
