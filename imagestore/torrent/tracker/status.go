package tracker

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"aula/imagestore/torrent/bencoded"
	"aula/imagestore/torrent/metainfo"
)

// The page for people and scripts who sit at this machine: an info-hash is what one must know to get a torrent, so nobody else is told.

//go:embed status.html
var statusHTML string

var statusTemplate = template.Must(template.New("status").Funcs(template.FuncMap{"bytes": humanBytes, "done": donePercent}).Parse(statusHTML))

// The status as JSON has it.
type (
	wireStatus struct {
		IntervalSeconds float64     `json:"interval_seconds"`
		Swarms          []wireSwarm `json:"swarms"`
	}
	wireSwarm struct {
		InfoHash  string     `json:"info_hash"`
		Name      string     `json:"name"`
		SizeBytes int64      `json:"size_bytes"`
		Seeders   int        `json:"seeders"`
		Leechers  int        `json:"leechers"`
		Peers     []wirePeer `json:"peers"`
	}
	wirePeer struct {
		Address         netip.AddrPort `json:"address"`
		Client          string         `json:"client"`
		UploadedBytes   int64          `json:"uploaded_bytes"`
		DownloadedBytes int64          `json:"downloaded_bytes"`
		LeftBytes       int64          `json:"left_bytes"`
		UpRate          int64          `json:"up_bytes_per_second"`
		DownRate        int64          `json:"down_bytes_per_second"`
		SinceSeconds    float64        `json:"since_seconds"` // ago
		SeenSeconds     float64        `json:"seen_seconds"`  // ago
	}
)

func (s *Server) status() wireStatus {
	now := time.Now()
	out := wireStatus{IntervalSeconds: s.interval.Seconds(), Swarms: []wireSwarm{}}
	for _, w := range s.Swarms() {
		one := wireSwarm{InfoHash: w.Hash.String(), Name: w.Name, SizeBytes: w.Size}
		for _, p := range w.Peers {
			if p.Left > 0 {
				one.Leechers++
			} else {
				one.Seeders++
			}
			one.Peers = append(one.Peers, wirePeer{
				Address: p.Address, Client: p.Client,
				UploadedBytes: p.Uploaded, DownloadedBytes: p.Downloaded, LeftBytes: p.Left,
				UpRate: p.UpRate, DownRate: p.DownRate,
				SinceSeconds: now.Sub(p.Since).Seconds(), SeenSeconds: now.Sub(p.Seen).Seconds(),
			})
		}
		out.Swarms = append(out.Swarms, one)
	}
	return out
}

func (s *Server) statusJSON(w http.ResponseWriter, r *http.Request) {
	if !fromHere(w, r) {
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(s.status()) // who has gone in between does not see it
}

func (s *Server) statusPage(w http.ResponseWriter, r *http.Request) {
	if !fromHere(w, r) {
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	statusTemplate.Execute(w, s.status())
}

// fromHere tells whether the request comes from this machine: by loopback, or from the very address that it went to, when the tracker
// listens at that address alone. A web page elsewhere that had its name point here (DNS rebinding) gives itself away by the Host.
func fromHere(w http.ResponseWriter, r *http.Request) bool {
	from := askerOf(r)
	w.Header().Set("Cache-Control", "no-store")
	if here := from.addr.IsLoopback() || from.addr.IsValid() && from.addr == from.local; here && plainHost(r.Host) {
		return true
	}
	http.Error(w, "The tracker's status is shown at the tracker's own machine only: ask there for http://127.0.0.1 and the tracker's port, "+
		"or use the console of Aula.", http.StatusForbidden)
	return false
}

func plainHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || host == "localhost"
}

// FetchStatus asks a tracker that runs on this machine for its swarms: http://127.0.0.1:6969, with or without /status.
func FetchStatus(ctx context.Context, url string) ([]Swarm, error) {
	ctx, cancel := context.WithTimeout(ctx, announceTimeout)
	defer cancel()
	url = strings.TrimSuffix(strings.TrimSuffix(url, "/"), "/status") + "/status"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, fmt.Errorf("tracker's status: %w", err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("tracker's status: %w: is a tracker running on this machine?", err)
	}
	defer answer.Body.Close()
	const most = 64 << 20 // bytes: of as many peers as a tracker keeps
	body := io.LimitReader(answer.Body, most)
	if answer.StatusCode != http.StatusOK {
		words, _ := io.ReadAll(io.LimitReader(body, 1024))
		return nil, fmt.Errorf("tracker's status: %s answers %s: %s", url, answer.Status, bencoded.Printable(string(words), maxWords))
	}
	var in wireStatus
	if err := json.NewDecoder(body).Decode(&in); err != nil {
		return nil, fmt.Errorf("tracker's status: the answer of %s is not Aula's: %w", url, err)
	}
	return in.swarms(time.Now())
}

func (in wireStatus) swarms(now time.Time) ([]Swarm, error) {
	ago := func(s float64) time.Time { return now.Add(-time.Duration(s * float64(time.Second))) }
	var all []Swarm
	for _, w := range in.Swarms {
		h, err := metainfo.ParseHash(w.InfoHash)
		if err != nil {
			return nil, fmt.Errorf("tracker's status: %w", err)
		}
		one := Swarm{Hash: h, Name: w.Name, Size: w.SizeBytes}
		for _, p := range w.Peers {
			one.Peers = append(one.Peers, Peer{
				Address: p.Address, Client: p.Client,
				Uploaded: p.UploadedBytes, Downloaded: p.DownloadedBytes, Left: p.LeftBytes,
				UpRate: p.UpRate, DownRate: p.DownRate,
				Since: ago(p.SinceSeconds), Seen: ago(p.SeenSeconds),
			})
		}
		all = append(all, one)
	}
	return all, nil
}

func humanBytes(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	f, u := float64(n), 0
	for f >= 1024 && u < len(units)-1 {
		f, u = f/1024, u+1
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", f, units[u])
}

func donePercent(size, left int64) string {
	if size <= 0 {
		return ""
	}
	return fmt.Sprintf("%.0f %%", 100*float64(size-left)/float64(size))
}
