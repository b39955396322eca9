package torrent

import (
	"fmt"
	"io"
	"net"
	"os"

	"golang.org/x/sys/unix"
)

// sendfile sends bytes of a file without carrying them through this program.
func sendfile(conn *net.TCPConn, from *os.File, offset, length int64) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	file := int(from.Fd())
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		for length > 0 {
			n, err := unix.Sendfile(int(fd), file, &offset, int(length))
			switch {
			case err == unix.EINTR:
			case err == unix.EAGAIN:
				return false
			case err != nil:
				failed = fmt.Errorf("sendfile: %w", err)
				return true
			case n == 0:
				failed = fmt.Errorf("the file ends before it should: %w", io.ErrUnexpectedEOF)
				return true
			default:
				length -= int64(n)
			}
		}
		return true
	})
	if failed != nil {
		return failed
	}
	return err
}
