package tftp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A house is a server on a wire.
type house struct {
	wire   *wire
	server *Server
	stop   context.CancelFunc
	done   chan error

	mu    sync.Mutex
	ended []Transfer
}

func build(w *wire, files shelf, change func(*Config)) *house {
	h := &house{wire: w, done: make(chan error, 1)}
	cfg := Config{Open: files.open, Ended: func(t Transfer) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ended = append(h.ended, t)
	}}
	if change != nil {
		change(&cfg)
	}
	h.server = newServer(cfg, w.plug(serverAddr, 69), func() (conn, error) { return w.plug(serverAddr, 0), nil })
	ctx, stop := context.WithCancel(context.Background())
	h.stop = stop
	go func() { h.done <- h.server.Run(ctx) }()
	return h
}

// close stops the server and returns what it told. In a bubble a goroutine that is left over fails the test.
func (h *house) close(t *testing.T) []Transfer {
	t.Helper()
	h.stop()
	if err := <-h.done; err != nil {
		t.Errorf("Run: %v", err)
	}
	return h.ended
}

func (h *house) reader(host byte) *reader {
	return &reader{conn: h.wire.plug(netip.AddrFrom4([4]byte{10, 9, 1, host}), 2070), server: port69}
}

func TestTransfers(t *testing.T) {
	for _, single := range []bool{false, true} {
		for _, size := range []int{0, 1, 511, 512, 513, 1024, 1468 * 4, 100_000} {
			for _, options := range [][]string{nil, {"blksize", "1468", "windowsize", "4", "tsize", "0"}, {"windowsize", "64"}, {"blksize", "8", "windowsize", "3"}} {
				t.Run(fmt.Sprintf("single=%t/%d/%s", single, size, strings.Join(options, ",")), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						want := content(size)
						h := build(newWire(1), shelf{"f": want}, func(c *Config) { c.SinglePort = single })
						r := h.reader(1)
						got, err := r.fetch("f", options...)
						if err != nil || !bytes.Equal(got, want) {
							t.Errorf("got %d bytes, %v, want the %d of the file", len(got), err, size)
						}
						if single != (r.tid == port69) {
							t.Errorf("answered from %s", r.tid)
						}
						told := h.close(t)
						if len(told) != 1 || told[0].Err != nil || told[0].Sent != int64(size) || told[0].Size != int64(size) || told[0].Retransmits != 0 || told[0].File != "f" {
							t.Errorf("told %+v", told)
						}
					})
				})
			}
		}
	}
}

// Block numbers have 16 bits: 65535 is followed by 0.
func TestBlockNumbersRollOver(t *testing.T) {
	for _, window := range []string{"1", "16"} {
		synctest.Test(t, func(t *testing.T) {
			want := content(33<<20 + 17) // over 32 MB with blocks of 512
			h := build(newWire(1), shelf{"f": want}, nil)
			got, err := h.reader(1).fetch("f", "windowsize", window)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("window %s: got %d bytes, %v", window, len(got), err)
			}
			h.close(t)
		})
	}
}

// Whatever a network does to packets, the file arrives, and not many more packets are sent than are needed.
func TestBadNetworks(t *testing.T) {
	want := content(60_000)
	seeds := uint64(12)
	if testing.Short() {
		seeds = 2
	}
	for seed := range seeds {
		for _, window := range []string{"1", "4", "16"} {
			for _, chatty := range []bool{false, true} {
				for _, single := range []bool{false, true} {
					t.Run(fmt.Sprintf("seed=%d/window=%s/chatty=%t/single=%t", seed, window, chatty, single), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) {
							w := newWire(seed)
							w.loss, w.double = float64(seed%4)*0.03, float64(seed%3)*0.1
							w.late, w.jitter = float64(seed%5)*0.02, 5*time.Millisecond
							h := build(w, shelf{"f": want}, func(c *Config) { c.SinglePort = single })
							r := h.reader(1)
							r.chatty = chatty
							got, err := r.fetch("f", "blksize", "1024", "windowsize", window)
							if err != nil || !bytes.Equal(got, want) {
								t.Errorf("got %d bytes, %v", len(got), err)
							}
							told := h.close(t)
							if n := w.count(opData); n > 59*6 {
								t.Errorf("%d data packets were sent for 59 blocks", n)
							}
							for _, x := range told {
								if x.Heard && x.Sent > 0 && x.Err != nil {
									t.Errorf("ended with %v: %+v", x.Err, x)
								}
							}
						})
					})
				}
			}
		}
	}
}

// Every packet comes twice: in lockstep not one is sent again (RFC 1123 4.2.3.1), and in windows doubling does not go on.
func TestDoubledPacketsAreNotAnsweredTwice(t *testing.T) {
	const blocks = 201
	for window, most := range map[string]int{"1": blocks, "4": 2 * blocks, "16": 2 * blocks} {
		for _, chatty := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWire(3)
				w.double = 1
				want := content((blocks - 1) * 512)
				h := build(w, shelf{"f": want}, nil)
				r := h.reader(1)
				r.chatty = chatty
				got, err := r.fetch("f", "windowsize", window)
				if err != nil || !bytes.Equal(got, want) {
					t.Errorf("got %d bytes, %v", len(got), err)
				}
				h.close(t)
				if n := w.count(opData); n > most {
					t.Errorf("window %s, chatty %t: %d data packets for %d blocks, want %d at most", window, chatty, n, blocks, most)
				}
			})
		}
	}
}

// Nobody answers: one packet, three times, for a request of any kind.
func TestForgedRequestIsNotAmplified(t *testing.T) {
	for _, options := range [][]string{nil, {"blksize", "1468", "windowsize", "64"}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWire(1)
			h := build(w, shelf{"f": content(1 << 20)}, nil)
			victim := w.plug(netip.MustParseAddr("10.9.7.7"), 53)
			_, _ = victim.WriteToUDPAddrPort(rrq("f", "octet", options...), port69)
			time.Sleep(10 * time.Second)
			if n := w.count(opData) + w.count(opOACK); n != greetings {
				t.Errorf("options %v: %d packets were sent, want %d", options, n, greetings)
			}
			told := h.close(t)
			if len(told) != 1 || !errors.Is(told[0].Err, errNoAnswer) || told[0].Heard || told[0].Took != 3500*time.Millisecond {
				t.Errorf("told %+v", told)
			}
		})
	}
}

// A PC that was there and is gone is asked for five times, with growing pauses, and then left.
func TestPCThatFallsSilent(t *testing.T) {
	for _, c := range []struct {
		options []string
		want    []time.Duration
	}{
		{[]string{"blksize", "512"}, []time.Duration{500 * time.Millisecond, 1500 * time.Millisecond, 3500 * time.Millisecond, 7500 * time.Millisecond, 15500 * time.Millisecond}},
		{[]string{"timeout", "3"}, []time.Duration{3 * time.Second, 6 * time.Second, 9 * time.Second, 12 * time.Second, 15 * time.Second}},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWire(1)
			w.delay = 0
			h := build(w, shelf{"f": content(5000)}, nil)
			pc := w.plug(netip.MustParseAddr("10.9.1.1"), 2070)
			_, _ = pc.WriteToUDPAddrPort(rrq("f", "octet", c.options...), port69)
			_, tid := hear(t, pc, opOACK)
			_, _ = pc.WriteToUDPAddrPort(ack(0), tid)
			hear(t, pc, opData)
			began := time.Now()
			for i, want := range c.want {
				hear(t, pc, opData)
				if got := time.Since(began).Round(time.Millisecond); got != want {
					t.Errorf("%v: packet sent again the %d. time after %s, want %s", c.options, i+1, got, want)
				}
			}
			time.Sleep(time.Minute)
			if told := h.close(t); len(told) != 1 || !errors.Is(told[0].Err, errSilent) || !told[0].Heard || told[0].Retransmits != retries {
				t.Errorf("told %+v", told)
			}
		})
	}
}

// hear reads a packet that must be of a kind.
func hear(t *testing.T, e *end, op byte) (b []byte, from netip.AddrPort) {
	t.Helper()
	b = make([]byte, 2048)
	_ = e.SetReadDeadline(time.Now().Add(time.Minute))
	n, from, err := e.ReadFromUDPAddrPort(b)
	if err != nil || b[1] != op {
		t.Fatalf("got % x, %v, want a packet with opcode %d", b[:min(n, 40)], err, op)
	}
	return b[:n], from
}

func TestSizeProbeIsNoFailure(t *testing.T) {
	for _, single := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			want := content(5000)
			h := build(newWire(1), shelf{"f": want}, func(c *Config) { c.SinglePort = single })
			r := h.reader(1)
			_, _ = r.conn.WriteToUDPAddrPort(rrq("f", "octet", "tsize", "0", "blksize", "1468", "windowsize", "4"), port69)
			oack, tid := hear(t, r.conn, opOACK)
			if got, want := string(oack[2:]), "tsize\x005000\x00blksize\x001468\x00windowsize\x004\x00"; got != want {
				t.Errorf("OACK %q, want %q", got, want)
			}
			_, _ = r.conn.WriteToUDPAddrPort(errorPacket(errNegotiation, "User aborted the transfer"), tid)
			time.Sleep(10 * time.Millisecond)
			got, err := r.fetch("f", "blksize", "1468", "windowsize", "4") // from the same port
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("after the probe: %d bytes, %v", len(got), err)
			}
			if told := h.close(t); len(told) != 2 || !told[0].Probe || told[0].Err != nil || told[1].Probe || told[1].Err != nil {
				t.Errorf("told %+v", told)
			}
		})
	}
}

// A stranger at the port of a transfer is told so, a few times, and the transfer goes on.
func TestStrangerAtTransfer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		want := content(3000)
		h := build(newWire(1), shelf{"f": want}, nil)
		r := h.reader(1)
		_, _ = r.conn.WriteToUDPAddrPort(rrq("f", "octet", "tsize", "0"), port69)
		_, tid := hear(t, r.conn, opOACK)
		stranger := h.wire.plug(netip.MustParseAddr("10.9.6.6"), 2070)
		for i := range 20 {
			_, _ = stranger.WriteToUDPAddrPort(ack(int64(i)), tid)
		}
		_, _ = stranger.WriteToUDPAddrPort(errorPacket(0, "stop"), tid)
		for range rebukes {
			b, from := hear(t, stranger, opError)
			if code, _ := parseError(b); code != errUnknownTID || from != tid {
				t.Errorf("stranger was told % x by %s", b, from)
			}
		}
		_ = stranger.SetReadDeadline(time.Now().Add(time.Second / 4))
		if n, _, err := stranger.ReadFromUDPAddrPort(make([]byte, 100)); err == nil {
			t.Errorf("stranger was told more: %d bytes", n)
		}
		for i := range int64(6) {
			_, _ = r.conn.WriteToUDPAddrPort(ack(i), tid)
			b, _ := hear(t, r.conn, opData)
			if !bytes.Equal(b[header:], want[i*512:min(i*512+512, 3000)]) {
				t.Errorf("block %d is another", i+1)
			}
		}
		_, _ = r.conn.WriteToUDPAddrPort(ack(6), tid)
		time.Sleep(time.Second)
		if told := h.close(t); len(told) != 1 || told[0].Err != nil {
			t.Errorf("told %+v", told)
		}
	})
}

// A request that the network doubled or that a PC repeats begins no second transfer; a PC that was switched off and on gets one.
func TestRepeatedRequest(t *testing.T) {
	for _, single := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			want := content(3000)
			h := build(newWire(1), shelf{"f": want}, func(c *Config) { c.SinglePort = single })
			r := h.reader(1)
			ask := rrq("f", "octet", "tsize", "0")
			_, _ = r.conn.WriteToUDPAddrPort(ask, port69)
			_, tid := hear(t, r.conn, opOACK)
			_, _ = r.conn.WriteToUDPAddrPort(ask, port69)
			_, _ = r.conn.WriteToUDPAddrPort(ack(0), tid)
			hear(t, r.conn, opData)
			_, _ = r.conn.WriteToUDPAddrPort(ask, port69)
			time.Sleep(100 * time.Millisecond)
			if n := h.running(); n != 1 {
				t.Errorf("single port %t: %d transfers run, want 1", single, n)
			}
			_ = r.conn.Close()
			time.Sleep(3 * time.Second) // it starts anew
			r = h.reader(1)
			got, err := r.fetch("f", "tsize", "0")
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("single port %t: after a restart: %d bytes, %v", single, len(got), err)
			}
			if told := h.close(t); len(told) != 2 || !errors.Is(told[0].Err, errAgain) || told[1].Err != nil {
				t.Errorf("told %+v", told)
			}
		})
	}
}

// A loader that has the end of its file may start without a last word.
func TestLastACKIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := build(newWire(1), shelf{"f": content(700)}, nil)
		r := h.reader(1)
		_, _ = r.conn.WriteToUDPAddrPort(rrq("f", "octet"), port69)
		_, tid := hear(t, r.conn, opData)
		_, _ = r.conn.WriteToUDPAddrPort(ack(1), tid)
		hear(t, r.conn, opData)
		time.Sleep(time.Minute)
		if told := h.close(t); len(told) != 1 || told[0].Err != nil || !told[0].Unconfirmed || told[0].Sent != 512 {
			t.Errorf("told %+v", told)
		}
	})
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		packet []byte
		code   uint16 // 0xffff: silence
	}{
		{"absent", rrq("nothing", "octet"), errNotFound},
		{"forbidden", rrq("forbidden", "octet"), errAccess},
		{"netascii", rrq("f", "netascii"), errIllegal},
		{"mail", rrq("f", "mail"), errIllegal},
		{"no mode", []byte("\x00\x01f"), errIllegal},
		{"write", []byte("\x00\x02f\x00octet\x00"), errAccess},
		{"data", []byte("\x00\x03\x00\x01abc"), errIllegal},
		{"opcode 9", []byte("\x00\x09abc"), errIllegal},
		{"ACK of nothing", ack(1), errUnknownTID},
		{"error", errorPacket(0, "no"), 0xffff},
		{"one byte", []byte{0}, 0xffff},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := build(newWire(1), shelf{"f": nil}, nil)
				r := h.reader(1)
				_, _ = r.conn.WriteToUDPAddrPort(c.packet, port69)
				b := make([]byte, 100)
				_ = r.conn.SetReadDeadline(time.Now().Add(time.Minute))
				n, _, err := r.conn.ReadFromUDPAddrPort(b)
				if code, text := parseError(b[:n]); c.code == 0xffff && err == nil || c.code != 0xffff && (b[1] != opError || code != c.code || text == "") {
					t.Errorf("answered with % x, %v", b[:n], err)
				}
				told := h.close(t)
				op := append(c.packet, 0)[1]
				if isRequest := op == opRead || op == opWrite; isRequest != (len(told) == 1 && told[0].Err != nil) {
					t.Errorf("told %+v", told)
				}
			})
		})
	}
}

// On a network where a packet takes a millisecond, larger blocks and windows save what they promise.
func TestWindowsSaveTime(t *testing.T) {
	took := map[string]time.Duration{}
	for _, options := range []string{"blksize 512", "blksize 1468", "blksize 1468 windowsize 4", "blksize 1468 windowsize 16"} {
		synctest.Test(t, func(t *testing.T) {
			want := content(1 << 20)
			h := build(newWire(1), shelf{"f": want}, nil)
			got, err := h.reader(1).fetch("f", strings.Fields(options)...)
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: got %d bytes, %v", options, len(got), err)
			}
			took[options] = h.close(t)[0].Took
		})
	}
	t.Logf("1 MiB at 1 ms each way: %v", took)
	slow := took["blksize 1468"]
	if f := float64(took["blksize 512"]) / float64(slow); f < 2.8 {
		t.Errorf("blocks of 1468 bytes are %.1f times as fast as those of 512, want 2.8", f)
	}
	if f := float64(slow) / float64(took["blksize 1468 windowsize 4"]); f < 3.8 {
		t.Errorf("windows of 4 are %.1f times as fast as lockstep, want 3.8", f)
	}
}
