package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"time"

	"aula/clientos/disk"
	"aula/imagestore/torrent"
	"aula/imagestore/torrent/tracker"
)

// A torrentReport is a torrent as --json has it, on a line each time, and at the end.
type torrentReport struct {
	Hash       string          `json:"hash"`
	Name       string          `json:"name"`
	Mode       torrent.Mode    `json:"mode"`
	State      torrent.State   `json:"state"` // checking, fetching, sharing, complete or failed
	Size       int64           `json:"size"`  // bytes of the file
	Pieces     int             `json:"pieces"`
	Have       int64           `json:"have"`    // bytes that are verified and stored
	Resumed    int64           `json:"resumed"` // of them from earlier
	Checked    int64           `json:"checked"` // bytes of what is doubtful, of ToCheck
	ToCheck    int64           `json:"toCheck"`
	Downloaded int64           `json:"downloaded"`
	Uploaded   int64           `json:"uploaded"`
	Wasted     int64           `json:"wasted"`   // bytes downloaded twice, or wrong
	DownRate   int64           `json:"downRate"` // byte/s, lately
	UpRate     int64           `json:"upRate"`
	Ratio      float64         `json:"ratio"`   // how many times over the file was given
	Left       time.Duration   `json:"left"`    // nanoseconds until sharing ends; 0 when nobody knows
	Elapsed    time.Duration   `json:"elapsed"` // nanoseconds
	Error      string          `json:"problem,omitempty"`
	Banned     []netip.Addr    `json:"banned"` // peers that sent wrong bytes
	Trackers   []trackerReport `json:"trackers"`
	Peers      []peerReport    `json:"peers"`
}

type trackerReport struct {
	URL   string `json:"url"` // without what may be secret in it
	Error string `json:"error,omitempty"`
}

type peerReport struct {
	Address    netip.AddrPort `json:"address"` // of the connection
	Client     string         `json:"client"`
	Percent    float64        `json:"percent"`    // of the file that it has
	Downloaded int64          `json:"downloaded"` // bytes from it
	Uploaded   int64          `json:"uploaded"`   // bytes to it
	DownRate   int64          `json:"downRate"`   // byte/s
	UpRate     int64          `json:"upRate"`
}

// take takes what the engine tells.
func (r *torrentReport) take(s torrent.Status) {
	r.Hash, r.Name, r.Mode, r.State, r.Size, r.Pieces, r.Have = s.Hash.String(), s.Name, s.Mode, s.State, s.Size, s.Pieces, s.Have
	r.Downloaded, r.Uploaded, r.Wasted, r.DownRate, r.UpRate = s.Downloaded, s.Uploaded, s.Wasted, s.DownRate, s.UpRate
	r.Ratio, r.Left, r.Banned = times(s.Uploaded, s.Size), s.Left, append([]netip.Addr{}, s.Banned...)
	r.Trackers, r.Peers = []trackerReport{}, []peerReport{}
	for _, t := range s.Trackers {
		told := trackerReport{URL: tracker.PublicURL(t.URL)}
		if t.Err != nil {
			told.Error = t.Err.Error()
		}
		r.Trackers = append(r.Trackers, told)
	}
	for _, p := range s.Peers {
		r.Peers = append(r.Peers, peerReport{p.Address, p.Client, percentOf(int64(p.Have), int64(s.Pieces)), p.Downloaded, p.Uploaded, p.DownRate, p.UpRate})
	}
}

// gave tells in words what was given to others.
func (r torrentReport) gave() string {
	return fmt.Sprintf("gave %s (%.2f times the file)", disk.FormatSize(r.Uploaded), times(r.Uploaded, r.Size))
}

func times(n, of int64) float64 {
	if of <= 0 {
		return 0
	}
	return float64(n) / float64(of)
}

func percentOf(n, of int64) float64 { return 100 * times(n, of) }

// printJSONLine prints v on one line, so that who reads the output sees line after line how it goes.
func printJSONLine(v any) error { return json.NewEncoder(os.Stdout).Encode(v) }
