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
	path string // opens it anew, with a position of its own
	size int64
}

// inMemory copies what is left of a file. Of a file that is on a disk there is no need to.
func inMemory(name string, from io.Reader) (*memory, error) {
	fd, err := unix.MemfdCreate("aula-"+name, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	if err != nil {
		return nil, fmt.Errorf("memfd of %s: %w", name, err)
	}
	m := &memory{file: os.NewFile(uintptr(fd), name), path: fmt.Sprintf("/proc/self/fd/%d", fd)}
	if m.size, err = io.Copy(m.file, from); err == nil {
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

func (m *memory) open() (*os.File, error) { return os.Open(m.path) }

// Close gives the memory back when the last PC has its file.
func (m *memory) Close() error { return m.file.Close() }
