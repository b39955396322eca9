package tracker

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"
)

// A connection id of BEP 15 proves that who asks receives what is sent to the address he asks from. It is made of that address and the time with
// a key that nobody else has, so the tracker remembers none. It is good for two minutes at least, as BEP 15 has it, and three at most.
const (
	connectionEpoch  = time.Minute
	connectionEpochs = 3
)

func (s *Server) connectionID(a netip.Addr, now time.Time) uint64 {
	return s.connectionOf(a, now.Unix()/int64(connectionEpoch/time.Second))
}

func (s *Server) connectionOf(a netip.Addr, epoch int64) uint64 {
	m := hmac.New(sha256.New, s.key[:])
	ip := a.As16()
	m.Write(ip[:])
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(epoch)))
	return binary.BigEndian.Uint64(m.Sum(nil))
}

func (s *Server) connected(a netip.Addr, id uint64, now time.Time) bool {
	epoch := now.Unix() / int64(connectionEpoch/time.Second)
	for i := range int64(connectionEpochs) {
		if id == s.connectionOf(a, epoch-i) {
			return true
		}
	}
	return false
}
