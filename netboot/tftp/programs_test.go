package tftp_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"aula/netboot/tftp"
)

type book struct{ *bytes.Reader }

func (book) Close() error { return nil }

// serve serves one file, "loader.efi", at an address of this machine, and returns its port.
func serve(tb testing.TB, file []byte, at *net.UDPAddr, single bool, ended func(tftp.Transfer)) string {
	tb.Helper()
	socket, err := net.ListenUDP("udp4", at)
	if err != nil {
		tb.Fatal(err)
	}
	server := tftp.New(tftp.Config{Conn: socket, SinglePort: single, Ended: ended, PerPC: 1000, Open: func(_ netip.AddrPort, name string) (io.ReadSeekCloser, error) {
		if name != "loader.efi" {
			return nil, fs.ErrNotExist
		}
		return book{bytes.NewReader(file)}, nil
	}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Run: %v", err)
		}
	})
	return strconv.Itoa(socket.LocalAddr().(*net.UDPAddr).Port)
}

var loopback = net.IPv4(127, 0, 0, 1)

func loaderFile(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*13 ^ i>>8 ^ i>>16)
	}
	return b
}

// Programs that have nothing in common with our reading of the RFCs read a file.
func TestRealClients(t *testing.T) {
	want := loaderFile(1_000_003)
	for _, c := range []struct {
		name   string
		block  int
		window int
		args   func(port, to string) []string
	}{
		{"atftp", 512, 1, func(port, to string) []string {
			return []string{"atftp", "-g", "-r", "loader.efi", "-l", to, "127.0.0.1", port}
		}},
		{"atftp blksize tsize", 1428, 1, func(port, to string) []string {
			return []string{"atftp", "--option", "blksize 1428", "--option", "tsize enable", "-g", "-r", "loader.efi", "-l", to, "127.0.0.1", port}
		}},
		{"atftp windowsize", 1428, 4, func(port, to string) []string {
			return []string{"atftp", "--option", "blksize 1428", "--option", "windowsize 4", "-g", "-r", "loader.efi", "-l", to, "127.0.0.1", port}
		}},
		{"atftp large windowsize", 1468, 16, func(port, to string) []string {
			return []string{"atftp", "--option", "blksize 65464", "--option", "windowsize 64", "--option", "timeout 2", "-g", "-r", "loader.efi", "-l", to, "127.0.0.1", port}
		}},
		{"tftp-hpa", 512, 1, func(port, to string) []string {
			return []string{"tftp", "-m", "binary", "127.0.0.1", port, "-c", "get", "loader.efi", to}
		}},
		{"curl", 512, 1, func(port, to string) []string {
			return []string{"curl", "-sS", "-o", to, "tftp://127.0.0.1:" + port + "/loader.efi"}
		}},
		{"curl blksize", 1432, 1, func(port, to string) []string {
			return []string{"curl", "-sS", "--tftp-blksize", "1432", "-o", to, "tftp://127.0.0.1:" + port + "/loader.efi"}
		}},
		{"curl without options", 512, 1, func(port, to string) []string {
			return []string{"curl", "-sS", "--tftp-no-options", "-o", to, "tftp://127.0.0.1:" + port + "/loader.efi"}
		}},
		{"busybox", 1432, 1, func(port, to string) []string {
			return []string{"busybox", "tftp", "-g", "-b", "1432", "-r", "loader.efi", "-l", to, "127.0.0.1", port}
		}},
	} {
		for _, single := range []bool{false, true} {
			t.Run(c.name+"/single="+strconv.FormatBool(single), func(t *testing.T) {
				t.Parallel()
				told := make(chan tftp.Transfer, 10)
				port := serve(t, want, &net.UDPAddr{IP: loopback}, single, func(x tftp.Transfer) { told <- x })
				to := filepath.Join(t.TempDir(), "got")
				args := c.args(port, to)
				if _, err := exec.LookPath(args[0]); err != nil {
					t.Skipf("SKIPPED: this machine has no %s", args[0])
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				out, err := exec.CommandContext(ctx, args[0], args[1:]...).CombinedOutput()
				if err != nil {
					t.Fatalf("%v: %v\n%s", args, err, out)
				}
				got, err := os.ReadFile(to)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("got %d bytes, %v", len(got), err)
				}
				x := <-told
				if x.Err != nil || x.BlockSize != c.block || x.Window != c.window || x.Sent != int64(len(want)) {
					t.Errorf("told %+v, want blocks of %d and windows of %d", x, c.block, c.window)
				}
			})
		}
	}
}

// The socket that is closed is the Server's own.
func TestRunEndsWithTransfersUnderWay(t *testing.T) {
	var mu sync.Mutex
	var told []tftp.Transfer
	t.Run("serve", func(t *testing.T) {
		port := serve(t, loaderFile(1<<20), &net.UDPAddr{IP: loopback}, false, func(x tftp.Transfer) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, x)
		})
		other, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		to, _ := net.ResolveUDPAddr("udp4", "127.0.0.1:"+port)
		if _, err := other.WriteTo([]byte("\x00\x01loader.efi\x00octet\x00"), to); err != nil {
			t.Fatal(err)
		}
		if n, _, err := other.ReadFrom(make([]byte, 600)); err != nil || n != 516 {
			t.Errorf("got %d bytes, %v", n, err)
		}
	})
	if len(told) != 1 || told[0].Err == nil {
		t.Errorf("told %+v", told)
	}
}
