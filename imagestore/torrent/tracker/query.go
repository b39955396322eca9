package tracker

import (
	"net/url"
	"strconv"

	"aula/imagestore/torrent/bencoded"
	"aula/imagestore/torrent/metainfo"
)

// An httpAnnounce is a Request as it is asked by HTTP.
type httpAnnounce struct {
	Request
	want    int  // negative: the tracker's choice
	compact bool // BEP 23
}

// parseAnnounce reads the query of an announce (BEP 3). What it does not know is passed over, "ip" with intent: who could name another
// address than his own could send the whole room to knock at it, and would be asked for no network that is served.
func parseAnnounce(raw string) (httpAnnounce, error) {
	q, _ := url.ParseQuery(raw) // a pair that is none is as if it were not there
	a := httpAnnounce{want: -1, compact: q.Get("compact") != "0"}
	var err error
	if a.Hash, err = parseHash(q.Get("info_hash")); err != nil {
		return a, err
	}
	id := q.Get("peer_id")
	if len(id) != len(a.Peer) {
		return a, refuse("peer_id", "peer_id is missing or has %d bytes instead of 20", len(id))
	}
	copy(a.Peer[:], id)
	port, err := strconv.ParseUint(q.Get("port"), 10, 16)
	if err != nil {
		return a, refuse("port", "port %q is none from 1 to 65535", bencoded.Printable(q.Get("port"), maxWord))
	}
	a.Port = uint16(port)
	if !q.Has("left") {
		return a, refuse("left", "left is missing: it says how many bytes the peer lacks")
	}
	for name, to := range map[string]*int64{"uploaded": &a.Uploaded, "downloaded": &a.Downloaded, "left": &a.Left} {
		if *to, err = parseBytes(q, name); err != nil {
			return a, err
		}
	}
	switch e := Event(q.Get("event")); e {
	case Started, Completed, Stopped:
		a.Event = e
	}
	if n, err := strconv.ParseInt(q.Get("numwant"), 10, 32); err == nil && n >= 0 {
		a.want = int(min(n, maxTold))
	}
	return a, nil
}

func parseHash(s string) (metainfo.Hash, error) {
	var h metainfo.Hash
	if len(s) != len(h) {
		return h, refuse("info_hash", "info_hash is missing or has %d bytes instead of 20", len(s))
	}
	copy(h[:], s)
	return h, nil
}

func parseBytes(q url.Values, name string) (int64, error) {
	s := q.Get(name)
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, refuse(name, "%s=%q is no number of bytes", name, bencoded.Printable(s, maxWord))
	}
	return n, nil
}
