package appliance

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// activatedListener returns the listening socket that the process was started with under the given name, by the
// protocol of sd_listen_fds(3), or nil when there is none. systemd hands sockets so, and so does the virtual classroom, whose
// console must answer outside the network namespace in which the appliance runs.
func activatedListener(name string) (net.Listener, error) {
	if pid := os.Getenv("LISTEN_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	const firstFD = 3
	n, _ := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	names := strings.Split(os.Getenv("LISTEN_FDNAMES"), ":")
	for i := 0; i < n && i < len(names); i++ {
		if names[i] != name {
			continue
		}
		f := os.NewFile(uintptr(firstFD+i), name)
		l, err := net.FileListener(f)
		if err != nil {
			return nil, fmt.Errorf("socket %q handed over in LISTEN_FDS: %w", name, err)
		}
		return l, f.Close()
	}
	return nil, nil
}

// listenTCP listens on address for the service that people know as what; setting is where to change it.
func listenTCP(address, what, setting string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: %s/tcp is in use by another program (ss -ltnp shows which): stop it, or change the setting %s", what, address, setting)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s: not allowed to listen on %s: run as root (sudo aula serve), or change the setting %s to a port above 1023", what, address, setting)
	case err != nil:
		return nil, fmt.Errorf("%s: listen on %s: %w: check the setting %s", what, address, err, setting)
	}
	return l, nil
}

// listenLocal listens on the Unix socket of the machine's own administrator. The caller holds the catalog's lock, so a socket that is
// already there was left by a server that is gone.
func listenLocal(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("administration socket %s: %w", path, err)
	}
	// The mode must be right from the first moment: whoever opens the socket is the administrator.
	defer syscall.Umask(syscall.Umask(0o177))
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("administration socket %s: %w", path, err)
	}
	return l, nil
}
