package main

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"aula/clientos/disk"
	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
)

// seedNews tells people, or who reads --json, how the files are given.
type seedNews struct {
	json     bool
	progress *bar
	begun    time.Time
	reported time.Time
	reports  map[metainfo.Hash]torrentReport // the last of each
	known    map[visitorID]bool              // whether it is complete
	left     map[string]int                  // complete peers of a file that are known no more
	told     map[string]bool
}

// A visitor is a peer of one of the files.
type visitor struct {
	file     string
	address  netip.AddrPort
	client   string
	complete bool
}

type visitorID struct {
	file    string
	address netip.AddrPort
}

func newSeedNews(json bool) *seedNews {
	return &seedNews{
		json: json, progress: newBar(), begun: time.Now(), reports: map[metainfo.Hash]torrentReport{}, known: map[visitorID]bool{}, left: map[string]int{},
		told: map[string]bool{},
	}
}

func (n *seedNews) say(line string) { say(n.progress, []string{line}) }

// begin notes that a file is to be given.
func (n *seedNews) begin(meta *metainfo.Torrent) {
	n.reports[meta.Hash] = torrentReport{
		Hash: meta.Hash.String(), Name: meta.Name, Mode: torrent.Seeder, Size: meta.Length, Pieces: meta.Count(), Have: meta.Length,
	}
}

// tell tells how it is now.
func (n *seedNews) tell(all []torrent.Status, here []visitor) {
	for _, s := range all {
		report := n.reports[s.Hash]
		report.take(s)
		report.Elapsed = time.Since(n.begun)
		n.reports[s.Hash] = report
	}
	terminal := n.progress.w != nil
	say(n.progress, n.changes(all, here, terminal))
	if terminal {
		n.progress.draw(clip(n.line(all, here), n.progress.w))
	}
	if now := time.Now(); n.json && now.Sub(n.reported) >= reportEvery {
		n.reported = now
		for _, r := range n.last() {
			_ = printJSONLine(r) // who does not read it any more will be told at the end
		}
	}
}

// mostKnown bounds the peers that are remembered beside those that are here: who comes from a new port each time is a new one each time.
const mostKnown = 4096

// forget forgets who is not here any more, when they are too many.
func (n *seedNews) forget(here []visitor) {
	if len(n.known) < mostKnown {
		return
	}
	stay := map[visitorID]bool{}
	for _, v := range here {
		id := visitorID{v.file, v.address}
		if complete, known := n.known[id]; known {
			stay[id] = complete
			delete(n.known, id)
		}
	}
	for id, complete := range n.known {
		if complete {
			n.left[id.file]++
		}
	}
	n.known = stay
}

// changes are the lines about what was not so the last time.
func (n *seedNews) changes(all []torrent.Status, here []visitor, terminal bool) (lines []string) {
	n.forget(here)
	for _, v := range here {
		id := visitorID{v.file, v.address}
		complete, known := n.known[id]
		n.known[id] = complete || v.complete
		switch {
		case terminal:
		case v.complete && !complete:
			lines = append(lines, fmt.Sprintf("%s has all of %s", whomPeer(v.address, v.client), v.file))
		case !known:
			lines = append(lines, fmt.Sprintf("%s fetches %s", whomPeer(v.address, v.client), v.file))
		}
	}
	for _, s := range all {
		for _, t := range s.Trackers {
			if t.Err != nil && !n.told[t.URL] {
				n.told[t.URL] = true
				lines = append(lines, fmt.Sprintf("aula: note: %s: %v", s.Name, t.Err))
			}
		}
	}
	return lines
}

// line is how it is, in one line.
func (n *seedNews) line(all []torrent.Status, here []visitor) string {
	var given, rate int64
	for _, s := range all {
		given, rate = given+s.Uploaded, rate+s.UpRate
	}
	complete := 0
	for _, v := range here {
		if v.complete {
			complete++
		}
	}
	return fmt.Sprintf("seeding %s: %s here, %d complete, %s/s, gave %s", count(len(all), "file", "files"), count(len(here), "peer", "peers"), complete,
		disk.FormatSize(rate), disk.FormatSize(given))
}

// failed notes that a file is not given any more, and tells it when others still are.
func (n *seedNews) failed(meta *metainfo.Torrent, err error, others bool) {
	report := n.reports[meta.Hash]
	report.State, report.Error = torrent.Failed, err.Error()
	n.reports[meta.Hash] = report
	if others {
		n.progress.end()
		warn(err.Error())
	}
}

// last is what was told of each file last, by name.
func (n *seedNews) last() []torrentReport {
	all := slices.Collect(maps.Values(n.reports))
	slices.SortFunc(all, func(a, b torrentReport) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Hash, b.Hash)) })
	return all
}

// summary is a line about each file, at the end.
func (n *seedNews) summary() (lines []string) {
	for _, r := range n.last() {
		complete := n.left[r.Name]
		for id, whole := range n.known {
			if whole && id.file == r.Name {
				complete++
			}
		}
		lines = append(lines, fmt.Sprintf("%s: %s, %s complete, in %s", r.Name, r.gave(), count(complete, "peer", "peers"), r.Elapsed.Round(time.Second)))
	}
	return lines
}

// whomPeer names a peer.
func whomPeer(a netip.AddrPort, client string) string {
	if client == "" {
		return a.String()
	}
	return fmt.Sprintf("%s (%s)", a, client)
}
