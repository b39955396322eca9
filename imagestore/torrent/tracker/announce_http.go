package tracker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/anacrolix/torrent/bencode"

	"aula/imagestore/torrent/bencoded"
)

// announceHTTP asks by one connection of its own, through no proxy: peers and tracker are on one network.
func announceHTTP(ctx context.Context, u *url.URL, r Request) (Response, error) {
	asked := *u
	asked.RawQuery = strings.TrimPrefix(asked.RawQuery+"&"+announceQuery(r), "&")
	asked.Fragment = ""
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, asked.String(), nil)
	if err != nil {
		return Response{}, fmt.Errorf("tracker %s: %w", nameOf(u), err)
	}
	req.Header.Set("User-Agent", "Aula")
	client := http.Client{
		Transport: &http.Transport{DialContext: dialer(r, &net.TCPAddr{IP: r.From.AsSlice()}).DialContext, DisableKeepAlives: true, MaxResponseHeaderBytes: 64 << 10},
		CheckRedirect: func(_ *http.Request, via []*http.Request) error {
			if len(via) > 3 {
				return errors.New("it sends from one address to the next, more than three times")
			}
			return nil
		},
	}
	answer, err := client.Do(req)
	if err != nil {
		if outer, ok := errors.AsType[*url.Error](err); ok {
			err = outer.Err // without the URL, which is long and may hold a passkey
		}
		return Response{}, fmt.Errorf("tracker %s does not answer: %w: is it running, and does a firewall let TCP port %s through?", nameOf(u), err, portOf(u))
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return Response{}, fmt.Errorf("tracker %s: its answer broke off: %w", nameOf(u), err)
	case len(body) > maxAnswer:
		return Response{}, fmt.Errorf("tracker %s: its answer is longer than %d bytes: is this a tracker's URL?", nameOf(u), maxAnswer)
	}
	a, err := parseAnswer(nameOf(u), body)
	if _, isRefusal := errors.AsType[*RefusedError](err); err != nil && !isRefusal && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("tracker %s answers %s: is this a tracker's URL? It usually ends with /announce", nameOf(u), answer.Status)
	}
	return a, err
}

// dialer dials from the address that the peer wants to be known by.
func dialer(r Request, from net.Addr) *net.Dialer {
	if !r.From.IsValid() {
		return &net.Dialer{}
	}
	return &net.Dialer{LocalAddr: from}
}

func portOf(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}

// announceQuery writes the query of BEP 3.
func announceQuery(r Request) string {
	var b strings.Builder
	b.WriteString("info_hash=" + escape(r.Hash[:]) + "&peer_id=" + escape(r.Peer[:]))
	for _, f := range []struct {
		name  string
		value int64
	}{{"port", int64(r.Port)}, {"uploaded", r.Uploaded}, {"downloaded", r.Downloaded}, {"left", r.Left}, {"compact", 1}} {
		b.WriteString("&" + f.name + "=" + strconv.FormatInt(f.value, 10))
	}
	if r.Event != None {
		b.WriteString("&event=" + url.QueryEscape(string(r.Event)))
	}
	if r.Want > 0 {
		b.WriteString("&numwant=" + strconv.Itoa(r.Want))
	}
	return b.String()
}

// escape writes bytes so that every tracker reads them: url.QueryEscape's "+" for a space is not read so by all.
func escape(b []byte) string { return strings.ReplaceAll(url.QueryEscape(string(b)), "+", "%20") }

// A heard answer has any of the forms that trackers give it.
type heard struct {
	Failure    string        `bencode:"failure reason"`
	Warning    string        `bencode:"warning message"`
	Interval   int64         `bencode:"interval"`
	Complete   int           `bencode:"complete"`
	Incomplete int           `bencode:"incomplete"`
	Peers      bencode.Bytes `bencode:"peers"`
	Peers6     []byte        `bencode:"peers6"`
}

// parseAnswer reads what a tracker answers (BEP 3, 7, 23).
func parseAnswer(tracker string, body []byte) (Response, error) {
	noAnswer := func(err error) (Response, error) {
		return Response{}, fmt.Errorf("tracker %s: its answer is none of a tracker: %w", tracker, err)
	}
	var h heard
	if err := bencoded.Decode(body, &h); err != nil {
		return noAnswer(err)
	}
	if h.Failure != "" {
		return Response{}, &RefusedError{Tracker: tracker, Reason: bencoded.Printable(h.Failure, maxWords)}
	}
	a := Response{Interval: interval(h.Interval), Seeders: max(h.Complete, 0), Leechers: max(h.Incomplete, 0), Warning: h.Warning}
	switch {
	case len(h.Peers) == 0:
	case h.Peers[0] == 'l':
		var list []struct {
			IP   string `bencode:"ip"`
			Port int64  `bencode:"port"`
		}
		if err := bencoded.Decode(h.Peers, &list); err != nil {
			return noAnswer(err)
		}
		for _, p := range list {
			if ip, err := netip.ParseAddr(p.IP); err == nil && p.Port > 0 && p.Port < 1<<16 {
				a.Peers = append(a.Peers, netip.AddrPortFrom(ip, uint16(p.Port)))
			}
		}
	default:
		var b []byte
		if err := bencoded.Decode(h.Peers, &b); err != nil {
			return noAnswer(err)
		}
		a.Peers = appendCompact(a.Peers, b, 4)
	}
	a.Peers = appendCompact(a.Peers, h.Peers6, 16)
	return a, nil
}

// appendCompact appends the peers of BEP 23 and 7, whose addresses have that many bytes each; what is left at the end is passed over.
func appendCompact(peers []netip.AddrPort, b []byte, size int) []netip.AddrPort {
	for ; len(b) >= size+2; b = b[size+2:] {
		ip, _ := netip.AddrFromSlice(b[:size])
		peers = append(peers, netip.AddrPortFrom(ip, uint16(b[size])<<8|uint16(b[size+1])))
	}
	return peers
}
