package link

import (
	"encoding/binary"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A message is C's struct mmsghdr: what sendmmsg(2) and recvmmsg(2) take an array of.
type message struct {
	unix.Msghdr
	length uint32 // bytes that were sent or received
}

// What does not wait is a raw system call: before another one, Go's scheduler makes ready for the thread's staying in the kernel and wakes
// its monitor, which took a quarter of the processor time of a receiver.

// sendmmsg sends messages, waits while the socket's buffer is full, and returns how many the kernel took. An error is of the first
// of them.
func sendmmsg(fd int, messages []message) (int, unix.Errno) {
	first, count := uintptr(unsafe.Pointer(unsafe.SliceData(messages))), uintptr(len(messages))
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, uintptr(fd), first, count, unix.MSG_DONTWAIT, 0, 0)
	if errno == unix.EAGAIN {
		n, _, errno = unix.Syscall6(unix.SYS_SENDMMSG, uintptr(fd), first, count, 0, 0, 0)
	}
	return int(n), errno
}

// recvmmsg receives what is there and does not wait. It returns how many messages it filled.
func recvmmsg(fd int, messages []message) (int, unix.Errno) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(messages))), uintptr(len(messages)), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// socketDrops returns how many packets were dropped at the socket.
func socketDrops(fd int) (uint32, error) {
	const drops = 8 // SK_MEMINFO_DROPS of linux/sock_diag.h
	var info [drops + 1]uint32
	size := uint32(unsafe.Sizeof(info))
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_MEMINFO,
		uintptr(unsafe.Pointer(&info)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, errno
	}
	return info[drops], nil
}

// A sockaddr is C's struct sockaddr_in: family, port, address and eight bytes of nothing.
type sockaddr [unix.SizeofSockaddrInet4]byte

func sockaddrOf(a netip.AddrPort) sockaddr {
	var s sockaddr
	binary.NativeEndian.PutUint16(s[0:], unix.AF_INET)
	binary.BigEndian.PutUint16(s[2:], a.Port())
	ip := a.Addr().As4()
	copy(s[4:], ip[:])
	return s
}

func (s *sockaddr) addrPort() netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte(s[4:8])), binary.BigEndian.Uint16(s[2:]))
}

// putControl writes one control message and returns its size. The data is of some few bytes, and dst large enough.
func putControl(dst []byte, level, kind int32, data []byte) int {
	header := (*unix.Cmsghdr)(unsafe.Pointer(unsafe.SliceData(dst)))
	header.Level, header.Type = level, kind
	header.SetLen(unix.CmsgLen(len(data)))
	copy(dst[unix.CmsgLen(0):], data)
	return unix.CmsgSpace(len(data))
}
