package wire

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"aula/imagestore/torrent/metainfo"
)

// A Handshake is the first that peers say.
type Handshake struct {
	Hash     metainfo.Hash
	Peer     PeerID
	Fast     bool // speaks BEP 6
	Extended bool // speaks BEP 10
}

// HandshakeSize is its bytes.
const HandshakeSize = 68

// The handshake is the length of the protocol's name and the name, 8 bytes of flags, the info-hash and the peer ID (BEP 3).
const (
	greeting = "\x13BitTorrent protocol"

	extendedByte, extendedFlag = 5, 0x10 // BEP 10
	fastByte, fastFlag         = 7, 0x04 // BEP 6
)

// Append appends its bytes.
func (h Handshake) Append(b []byte) []byte {
	var flags [8]byte
	if h.Extended {
		flags[extendedByte] |= extendedFlag
	}
	if h.Fast {
		flags[fastByte] |= fastFlag
	}
	b = append(b, greeting...)
	b = append(b, flags[:]...)
	b = append(b, h.Hash[:]...)
	return append(b, h.Peer[:]...)
}

// ReadHandshake reads one and not a byte more, and refuses what is none.
func ReadHandshake(r io.Reader) (Handshake, error) {
	var b [HandshakeSize]byte
	if err := readGreeting(r, b[:]); err != nil {
		return Handshake{}, err
	}
	if !isGreeting(b[:]) {
		return Handshake{}, noHandshake(b[:])
	}
	return readRest(r, &b)
}

func noHandshake(b []byte) error {
	return fmt.Errorf("%w: a peer begins with %q, which is no handshake", ErrProtocol, b[:len(greeting)])
}

func isGreeting(b []byte) bool { return string(b[:len(greeting)]) == greeting }

// readGreeting reads the bytes that tell a handshake from anything else. Nothing at all is io.EOF.
func readGreeting(r io.Reader, b []byte) error {
	if _, err := io.ReadFull(r, b[:len(greeting)]); err != nil {
		return fmt.Errorf("reading the handshake of a peer: %w", err)
	}
	return nil
}

// readRest reads what follows the greeting.
func readRest(r io.Reader, b *[HandshakeSize]byte) (Handshake, error) {
	rest := b[len(greeting):]
	if _, err := io.ReadFull(r, rest); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Handshake{}, fmt.Errorf("reading the handshake of a peer: %w", err)
	}
	return Handshake{
		Hash:     metainfo.Hash(rest[8:]),
		Peer:     PeerID(rest[28:]),
		Fast:     rest[fastByte]&fastFlag != 0,
		Extended: rest[extendedByte]&extendedFlag != 0,
	}, nil
}

// A PeerID names a program that runs; it is made anew each time.
type PeerID [20]byte

// NewPeerID makes one of Aula's.
func NewPeerID() PeerID {
	var id PeerID
	copy(id[copy(id[:], "-AU0100-"):], rand.Text())
	return id
}

// The names that programs give themselves, in the style of Azureus (BEP 20).
var clients = map[string]string{
	"AR": "aria2", // until 1.17
	"AU": "Aula",
	"AZ": "Vuze",
	"BC": "BitComet",
	"CD": "Enhanced CTorrent",
	"CT": "CTorrent",
	"DE": "Deluge",
	"GT": "anacrolix/torrent",
	"KT": "KTorrent",
	"LT": "libtorrent",
	"TR": "Transmission",
	"UT": "µTorrent",
	"UM": "µTorrent Mac",
	"WW": "WebTorrent",
	"lt": "libTorrent (rTorrent)",
	"qB": "qBittorrent",
}

// Client names the program and its version as its peer ID tells them, "Transmission 3.0"; it is empty of programs that are not known.
func (p PeerID) Client() string {
	if v, is := strings.CutPrefix(string(p[:]), "A2-"); is {
		return aria2(v)
	}
	name, known := clients[string(p[1:3])]
	if p[0] != '-' || p[7] != '-' || !known {
		return ""
	}
	var numbers []string
	for _, c := range p[3:7] {
		n := strings.IndexByte("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", c)
		if n < 0 {
			return name
		}
		numbers = append(numbers, strconv.Itoa(n))
	}
	for len(numbers) > 2 && numbers[len(numbers)-1] == "0" {
		numbers = numbers[:len(numbers)-1]
	}
	return name + " " + strings.Join(numbers, ".")
}

// aria2 names that program: A2-1-36-0- is followed by what is random.
func aria2(version string) string {
	parts := strings.SplitN(version, "-", 4)
	if len(parts) < 4 {
		return "aria2"
	}
	for _, part := range parts[:3] {
		if _, err := strconv.ParseUint(part, 10, 16); err != nil {
			return "aria2"
		}
	}
	return "aria2 " + strings.Join(parts[:3], ".")
}
