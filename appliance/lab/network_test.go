package lab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// cable connects a namespace to a bridge, with a server on the bridge's side that sends as much as one takes.
func cable(t *testing.T, name string) (server string) {
	t.Helper()
	if err := plugNamespace(name, macOf(200)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := command("ip", "netns", "delete", name); err != nil {
			t.Error(err)
		}
	})
	if err := command("ip", "-netns", name, "address", "add", "10.77.0.2/24", "dev", nicOf); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "10.77.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			// The client takes as much as it wants, then closes.
			_, _ = io.Copy(c, zeros{})
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-served
	})
	return l.Addr().String()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// receive takes n bytes from the server and returns how long that took.
func receive(t *testing.T, netns, server string, n int64) time.Duration {
	t.Helper()
	conn, err := dialIn(netns)(t.Context(), "tcp", server)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	start := time.Now()
	if _, err := io.CopyN(io.Discard, conn, n); err != nil {
		t.Fatal(err)
	}
	return time.Since(start)
}

func TestCable(t *testing.T) {
	if err := makeBridge(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := removeBridge(); err != nil {
			t.Error(err)
		}
	})
	server := cable(t, "pc200")

	t.Run("rate", func(t *testing.T) {
		const rate, bytes = 40_000_000, 4 << 20
		if err := setRate("pc200", rate); err != nil {
			t.Fatal(err)
		}
		// The bucket lets the first burst pass at once.
		least := time.Duration(float64(bytes-512<<10) * 8 / rate * float64(time.Second))
		if took := receive(t, "pc200", server, bytes); took < least {
			t.Errorf("%d bytes at %d bit/s took %v, want at least %v", bytes, rate, took, least)
		}
		if err := setRate("pc200", 0); err != nil {
			t.Fatal(err)
		}
		receive(t, "pc200", server, bytes)
		for _, end := range [][]string{{"qdisc", "show", "dev", "pc200"}, {"-netns", "pc200", "qdisc", "show", "dev", nicOf}} {
			if out, err := exec.Command("tc", end...).CombinedOutput(); err != nil || strings.Contains(string(out), "tbf") {
				t.Errorf("the limit is not taken away: %v: %s", err, out)
			}
		}
	})
	t.Run("all lost", func(t *testing.T) {
		if err := setLoss("pc200", 1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if conn, err := dialIn("pc200")(ctx, "tcp", server); err == nil {
			conn.Close()
			t.Error("connected although every packet is lost")
		}
		if err := setLoss("pc200", 0); err != nil {
			t.Fatal(err)
		}
		receive(t, "pc200", server, 1)
	})
	t.Run("bad share", func(t *testing.T) {
		if err := setLoss("pc200", 1.5); err == nil {
			t.Error("took a loss of 150 %")
		}
	})
}

func TestDialInLeavesTheThreadWhereItWas(t *testing.T) {
	if err := plugless("pc201"); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := command("ip", "netns", "delete", "pc201"); err != nil {
			t.Error(err)
		}
	}()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range 20 {
		if conn, err := dialIn("pc201")(t.Context(), "tcp", l.Addr().String()); err == nil {
			conn.Close()
			t.Fatal("reached the test's own loopback from another namespace")
		}
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatalf("dial %d from home: %v", i, err)
		}
		conn.Close()
	}
}

func plugless(name string) error {
	return errors.Join(command("ip", "netns", "add", name), command("ip", "-netns", name, "link", "set", "lo", "up"))
}

func TestMACsDiffer(t *testing.T) {
	seen := map[string]bool{}
	for n := range 600 {
		mac := macOf(n)
		if hw, err := net.ParseMAC(mac); err != nil || fmt.Sprint(hw) != mac || seen[mac] {
			t.Fatalf("PC %d has the MAC %q: %v", n, mac, err)
		}
		seen[mac] = true
	}
}
