package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"aula/imagestore/multicast"
)

// multicastCommand is `aula multicast`.
type multicastCommand struct {
	Send    multicastSendCommand    `cmd:"" help:"Send a file, or what a pipe gives, to a whole room at once."`
	Receive multicastReceiveCommand `cmd:"" help:"Receive what is sent into a file or onto a disk."`
}

// Exit statuses of multicast, which are OpenGnsys' error numbers too.
const (
	exitSession  = 55 // the session or a flag is not right
	exitSend     = 56 // nothing was sent, or not every computer has all of it
	exitReceive  = 57 // it was not received
	exitNoSender = 60 // no sender was heard in time
)

// multicastFlags are common to both sides.
type multicastFlags struct {
	jsonFlag
	Interface string `help:"Network interface to the room, such as eth0." placeholder:"IF"`
	Key       string `help:"File with a secret of 16 bytes or more, the same on both sides: who lacks it can neither read nor disturb. 'head -c 32 /dev/urandom > FILE' makes one." type:"path" placeholder:"FILE"`
	NoOffload bool   `help:"Do without the kernel's segmentation offloads." name:"no-offload"`
}

// key reads the key, if there is to be one.
func (f multicastFlags) key() (multicast.Key, error) {
	if f.Key == "" {
		return multicast.Key{}, nil
	}
	key, err := multicast.ReadKey(f.Key)
	if err != nil {
		return key, exitError{err, exitSession}
	}
	if info, err := os.Stat(f.Key); err == nil && info.Mode().Perm()&0o077 != 0 {
		warn(fmt.Sprintf("others on this machine can read the key: chmod 600 %s", f.Key))
	}
	return key, nil
}

// A patience is how long to wait: 90s, 5m, or seconds alone as udp-receiver has them.
type patience time.Duration

// UnmarshalText reads what a person typed.
func (p *patience) UnmarshalText(text []byte) error {
	const most = 24 * time.Hour
	s := string(text)
	d, err := time.ParseDuration(s)
	if seconds, numErr := strconv.ParseUint(s, 10, 31); numErr == nil {
		d, err = time.Duration(seconds)*time.Second, nil
	}
	if err != nil || d < 0 || d > most {
		return fmt.Errorf("%q: it must be a time from 0 to 24h, such as 90s or 5m", s)
	}
	*p = patience(d)
	return nil
}

// An ipv4 is the address of a machine; not valid when none was given.
type ipv4 struct{ netip.Addr }

// UnmarshalText reads what a person typed.
func (a *ipv4) UnmarshalText(text []byte) error {
	addr, err := netip.ParseAddr(string(text))
	if err != nil || !addr.Is4() || addr.IsMulticast() || addr.IsUnspecified() {
		return fmt.Errorf("%q: it must be the IPv4 address of a machine, such as 172.17.36.1", text)
	}
	a.Addr = addr
	return nil
}

// A verdict is what came of it, for --json.
type verdict struct {
	Result string `json:"result"` // complete, incomplete, no sender or failed
	Error  string `json:"error,omitempty"`
}

func verdictOf(err error) verdict {
	var exit exitError
	switch {
	case err == nil:
		return verdict{Result: "complete"}
	case errors.As(err, new(*multicast.IncompleteError)):
		return verdict{"incomplete", err.Error()}
	case errors.As(err, &exit) && exit.status == exitNoSender:
		return verdict{"no sender", err.Error()}
	}
	return verdict{"failed", err.Error()}
}

// count writes how many there are of something.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// megabits writes a rate on the wire.
func megabits(bits int64) string {
	return strings.TrimSuffix(fmt.Sprintf("%.1f", float64(bits)/1e6), ".0") + " Mbit/s"
}
