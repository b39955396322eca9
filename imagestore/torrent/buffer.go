package torrent

import "sync"

// buffers are those of pieces, by their size: a torrent's are all of one, but the last.
var buffers sync.Map // int64 -> *sync.Pool

func getBuffer(size int64) []byte {
	if pool, ok := buffers.Load(size); ok {
		if b, ok := pool.(*sync.Pool).Get().(*[]byte); ok {
			return *b
		}
	}
	return make([]byte, size)
}

func putBuffer(b []byte) {
	pool, _ := buffers.LoadOrStore(int64(len(b)), &sync.Pool{})
	pool.(*sync.Pool).Put(&b)
}
