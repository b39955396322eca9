package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"aula/clientos/protocol"
)

// errOwnDisk is what DHCP or a boot script means that has the PC boot its own disk.
var errOwnDisk = errors.New("the PC boots its own disk")

// bootParameters are what the boot script tells the agent.
type bootParameters struct {
	server, ticket, pin string
}

// netboot fetches the boot script and the small one of its files, as a boot loader would.
func (p *NativePC) netboot(ctx context.Context, l *lease) (bootParameters, error) {
	if l.ownDisk {
		return bootParameters{}, errOwnDisk
	}
	if l.script == "" {
		return bootParameters{}, errors.New("DHCP names no boot script")
	}
	web := &http.Client{Transport: &http.Transport{DialContext: dialIn(p.name), DisableKeepAlives: true}}
	text, err := fetch(ctx, web, l.script)
	if err != nil {
		return bootParameters{}, fmt.Errorf("boot script: %w", err)
	}
	parameters, overlay, err := readScript(string(text))
	if err != nil {
		return bootParameters{}, err
	}
	archive, err := fetch(ctx, web, overlay)
	if err != nil {
		return bootParameters{}, fmt.Errorf("overlay: %w", err)
	}
	pin, err := fileInArchive(archive, strings.TrimPrefix(protocol.PinFile, "/"))
	if err != nil {
		return bootParameters{}, fmt.Errorf("overlay %s: %w", overlay, err)
	}
	parameters.pin = string(bytes.TrimSpace(pin))
	return parameters, nil
}

// readScript understands as much of an iPXE script as a native PC needs: what is on the kernel's command line, and where the last
// initrd is.
func readScript(text string) (b bootParameters, overlay string, err error) {
	var other bool // comes before the own disk, which is then only for when all else fails
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		switch words[0] {
		case "kernel":
			other = true
			for _, word := range words[2:] {
				name, value, _ := strings.Cut(word, "=")
				switch name {
				case protocol.ServerParam:
					b.server = value
				case protocol.TicketParam:
					b.ticket = value
				}
			}
		case "initrd":
			overlay = words[1]
		case "sleep", "menu":
			other = true
		case "sanboot":
			if !other {
				return bootParameters{}, "", errOwnDisk
			}
		}
	}
	if b.server == "" || b.ticket == "" || overlay == "" {
		return bootParameters{}, "", fmt.Errorf("the boot script boots no client OS:\n%s", text)
	}
	return b, overlay, nil
}

// fileInArchive returns a file of a cpio archive of the kind that the kernel unpacks ("newc": a header of 13 hexadecimal
// numbers of eight digits after the magic 070701; name and contents padded to four bytes).
func fileInArchive(archive []byte, name string) ([]byte, error) {
	const (
		magic      = "070701"
		headerSize = 110
		fileSize   = 6 // number in the header
		nameSize   = 11
	)
	pad := func(n int64) int64 { return (n + 3) &^ 3 }
	for rest := archive; len(rest) >= headerSize && string(rest[:6]) == magic; {
		number := func(i int) int64 {
			n, err := strconv.ParseUint(string(rest[6+8*i:6+8*i+8]), 16, 32)
			if err != nil {
				return int64(len(archive)) + 1 // beyond the end
			}
			return int64(n)
		}
		from := pad(headerSize + number(nameSize))
		to := from + number(fileSize)
		if number(nameSize) < 1 || to > int64(len(rest)) {
			break
		}
		found := string(rest[headerSize : headerSize+number(nameSize)-1])
		if found == name {
			return rest[from:to], nil
		}
		rest = rest[min(pad(to), int64(len(rest))):]
	}
	return nil, fmt.Errorf("there is no %s in the archive", name)
}

// fetch reads a small file.
func fetch(ctx context.Context, web *http.Client, url string) ([]byte, error) {
	const most = 1 << 20
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	answer, err := web.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, answer.Status)
	}
	return io.ReadAll(io.LimitReader(answer.Body, most))
}

// dialIn dials from inside a network namespace. The address must be numeric: only then is the socket made in the
// calling thread.
func dialIn(netns string) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		own, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			return nil, err
		}
		defer own.Close()
		other, err := os.Open("/run/netns/" + netns)
		if err != nil {
			return nil, err
		}
		defer other.Close()
		runtime.LockOSThread()
		if err := unix.Setns(int(other.Fd()), unix.CLONE_NEWNET); err != nil {
			runtime.UnlockOSThread()
			return nil, fmt.Errorf("enter the network of %s: %w", netns, err)
		}
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		// A thread that cannot come back is not used again: it stays locked and ends with its goroutine.
		if unix.Setns(int(own.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread()
		}
		return conn, err
	}
}
