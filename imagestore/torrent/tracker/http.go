package tracker

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/anacrolix/torrent/bencode"
)

// maxScrape is how many torrents one scrape may name, as BEP 15 has it.
const maxScrape = 74

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /announce", s.httpAnnounce)
	mux.HandleFunc("GET /scrape", s.httpScrape)
	mux.HandleFunc("GET /status", s.statusJSON)
	mux.HandleFunc("GET /{$}", s.statusPage)
	return mux
}

// The answers of BEP 3, 7, 23 and 48. Their keys are written in order. A peer in a list is told without its peer ID, as if "no_peer_id" were
// asked for: who connects hears it from the peer itself.
type (
	httpAnswer struct {
		Interval    int64  `bencode:"interval"` // seconds
		MinInterval int64  `bencode:"min interval"`
		Complete    int    `bencode:"complete"`
		Incomplete  int    `bencode:"incomplete"`
		Peers       any    `bencode:"peers"` // 6 bytes each, or a list of httpPeer
		Peers6      []byte `bencode:"peers6,omitempty"`
	}
	httpPeer struct {
		IP   string `bencode:"ip"`
		Port uint16 `bencode:"port"`
	}
	httpFailure struct {
		Reason string `bencode:"failure reason"`
	}
	httpScrape struct {
		Files map[string]httpCount `bencode:"files"`
	}
	httpCount struct {
		Complete   int `bencode:"complete"`
		Downloaded int `bencode:"downloaded"`
		Incomplete int `bencode:"incomplete"`
	}
)

func (s *Server) httpAnnounce(w http.ResponseWriter, r *http.Request) {
	from := askerOf(r)
	a, err := parseAnnounce(r.URL.RawQuery)
	if denied := s.admit(from.addr); denied != nil { // who is not served is told nothing else
		err = denied
	}
	var told answer
	if err == nil {
		told, err = s.announce(from, a.Request, a.want)
	}
	if err != nil {
		s.refuseHTTP(w, from, err)
		return
	}
	// aria2 asks after the least interval as long as it has no peers, transmission never before the interval.
	out := httpAnswer{
		Interval:    seconds(told.interval),
		MinInterval: seconds(told.interval / 2),
		Complete:    told.seeders,
		Incomplete:  told.leechers,
	}
	if a.compact {
		out.Peers, out.Peers6 = compact(told.peers)
	} else {
		list := []httpPeer{}
		for _, p := range told.peers {
			list = append(list, httpPeer{p.Addr().String(), p.Port()})
		}
		out.Peers = list
	}
	write(w, out)
}

// seconds rounds up: an interval of none would have peers announce without a pause.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// compact writes the peers of IPv4 and those of IPv6, 6 and 18 bytes each.
func compact(peers []netip.AddrPort) (v4, v6 []byte) {
	v4 = []byte{}
	for _, p := range peers {
		if p.Addr().Is4() {
			v4 = appendPeer(v4, p)
		} else {
			v6 = appendPeer(v6, p)
		}
	}
	return v4, v6
}

func appendPeer(b []byte, p netip.AddrPort) []byte {
	return binary.BigEndian.AppendUint16(append(b, p.Addr().AsSlice()...), p.Port())
}

// httpScrape counts the peers of the torrents that are named, and of no others: an info-hash is what one must know to get a torrent.
func (s *Server) httpScrape(w http.ResponseWriter, r *http.Request) {
	from := askerOf(r)
	if err := s.admit(from.addr); err != nil {
		s.refuseHTTP(w, from, err)
		return
	}
	q, _ := url.ParseQuery(r.URL.RawQuery)
	named := q["info_hash"]
	if len(named) == 0 || len(named) > maxScrape {
		s.refuseHTTP(w, from, refuse("scrape", "a scrape names 1 to %d torrents by info_hash, this one %d", maxScrape, len(named)))
		return
	}
	out := httpScrape{Files: map[string]httpCount{}}
	for _, n := range named {
		h, err := parseHash(n)
		if err != nil {
			s.refuseHTTP(w, from, err)
			return
		}
		if c, ok := s.scrape(h); ok {
			out.Files[n] = httpCount{Complete: c.seeders, Downloaded: c.completed, Incomplete: c.leechers}
		}
	}
	write(w, out)
}

// refuseHTTP answers with the failure reason that clients show to people; they read it of a status 200 only.
func (s *Server) refuseHTTP(w http.ResponseWriter, from asker, err error) {
	kind := "other"
	if r, ok := errors.AsType[refused](err); ok {
		kind = r.kind
	}
	s.refusals.note(from.addr, "http", kind, err.Error())
	write(w, httpFailure{err.Error()})
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "text/plain")
	w.Write(bencode.MustMarshal(v)) // of types that have a form; who has gone in between does not hear it
}

// askerOf tells who asks: by the connection, never by what the request says.
func askerOf(r *http.Request) asker {
	from := asker{agent: r.UserAgent()}
	if a, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		from.addr = plain(a.Addr())
	}
	from.local = localAddr(r.Context())
	return from
}

// localAddr is the address of this machine that the request came to.
func localAddr(ctx context.Context) netip.Addr {
	a, _ := ctx.Value(http.LocalAddrContextKey).(net.Addr)
	return addrPort(a).Addr()
}
