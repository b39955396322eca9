package netboot

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// memory is a copy of a file as a file of the kernel's in memory (memfd_create(2)). The parts of the client OS and the boot loaders are inside the
// program, and what is there must be copied into the kernel for every PC; of a file, sendfile(2) hands on the pages themselves.
type memory struct {
	file *os.File
}

// inMemory copies what is left of a file. Of a file that is on a disk there is no need to.
func inMemory(name string, from io.Reader) (*memory, error) {
	fd, err := unix.MemfdCreate("aula-"+name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memfd of %s: %w", name, err)
	}
	m := &memory{file: os.NewFile(uintptr(fd), name)}
	if _, err = io.Copy(m.file, from); err == nil {
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE)
	}
	if err == nil {
		err = m.check()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("memfd of %s: %w", name, err), m.Close())
	}
	return m, nil
}

// check makes sure that the copy can be opened, for which there must be a /proc.
func (m *memory) check() error {
	f, err := m.open()
	if err != nil {
		return err
	}
	return f.Close()
}

// open opens it anew, with a position of its own. It fails after Close, when the number of its descriptor may be another file's.
func (m *memory) open() (f *os.File, err error) {
	raw, err := m.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	if held := raw.Control(func(fd uintptr) { f, err = os.Open(fmt.Sprintf("/proc/self/fd/%d", fd)) }); held != nil {
		return nil, held
	}
	return f, err
}

// Close gives the memory back when the last PC has its file. It may be called again.
func (m *memory) Close() error {
	if err := m.file.Close(); !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
