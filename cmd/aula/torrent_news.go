package main

import (
	"fmt"
	"time"

	"aula/clientos/disk"
	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
)

// reportEvery is the least time between two lines of --json.
const reportEvery = time.Second

// fetchNews tells people, or who reads --json, how a fetch is.
type fetchNews struct {
	json     bool
	progress *bar
	meta     *metainfo.Torrent
	begun    time.Time
	report   torrentReport // the last
	reported time.Time
	told     map[string]bool // warnings, once
	started  bool            // it was told that bytes come
	last     int64           // bytes downloaded that were of use, when some came last
	came     time.Time       // when that was
}

func newFetchNews(meta *metainfo.Torrent, mode torrent.Mode, json bool) *fetchNews {
	return &fetchNews{
		json: json, progress: newBar(), meta: meta, begun: time.Now(), came: time.Now(), told: map[string]bool{},
		report: torrentReport{Hash: meta.Hash.String(), Name: meta.Name, Mode: mode, Size: meta.Length, Pieces: meta.Count()},
	}
}

func (n *fetchNews) say(line string) { say(n.progress, []string{line}) }

// warn says each thing once.
func (n *fetchNews) warn(lines []string) {
	for _, line := range lines {
		if !n.told[line] {
			n.told[line] = true
			n.progress.end()
			warn(line)
		}
	}
}

// checking tells how much of what is there already was checked. It is called by one goroutine at a time.
func (n *fetchNews) checking(done, total int64) {
	if n.report.State != "checking" {
		n.report.State = "checking"
		n.say(fmt.Sprintf("checking what is here of %s: %s", n.meta.Name, disk.FormatSize(total)))
	}
	n.report.Checked, n.report.ToCheck = done, total
	n.progress.show("checking "+n.meta.Name, done, total)
	n.line()
}

// resumed takes which pieces are there already, and answers whether these are all.
func (n *fetchNews) resumed(have []bool) (all bool) {
	all, n.report.Have = true, 0
	for piece, here := range have {
		if all = all && here; here {
			n.report.Have += n.meta.Size(piece)
		}
	}
	n.report.Resumed, n.came = n.report.Have, time.Now()
	if !all && n.report.Resumed > 0 {
		n.say(disk.FormatSize(n.report.Resumed) + " are here from an earlier time")
	}
	return all
}

// tell tells how it is now.
func (n *fetchNews) tell(s torrent.Status) {
	n.report.take(s)
	terminal := n.progress.w != nil
	say(n.progress, n.changes(s, terminal))
	if terminal {
		n.progress.draw(clip(fetchLine(s), n.progress.w))
	}
	n.line()
}

// line prints a line of --json, when it is time.
func (n *fetchNews) line() {
	if now := time.Now(); n.json && now.Sub(n.reported) >= reportEvery {
		n.reported, n.report.Elapsed = now, now.Sub(n.begun)
		_ = printJSONLine(n.report) // who does not read it any more will be told at the end
	}
}

// changes are the lines about what was not so the last time.
func (n *fetchNews) changes(s torrent.Status, terminal bool) (lines []string) {
	if !n.started && s.Downloaded > 0 {
		n.started = true
		if !terminal {
			lines = append(lines, fmt.Sprintf("%s comes from %s", s.Name, count(len(s.Peers), "peer", "peers")))
		}
	}
	for _, a := range s.Banned {
		if line := fmt.Sprintf("%s sent wrong bytes: nothing is taken from it any more", a); !n.told[line] {
			n.told[line] = true
			lines = append(lines, line)
		}
	}
	if s.State == torrent.Fetching && len(s.Peers) > 0 {
		for _, t := range s.Trackers {
			if t.Err == nil || n.told[t.Err.Error()] {
				continue
			}
			n.told[t.Err.Error()] = true
			lines = append(lines, fmt.Sprintf("%v (the peers that are known go on)", t.Err))
		}
	}
	return lines
}

// silent is how long nothing has come that is of use: a rude peer may send the same for ever.
func (n *fetchNews) silent(s torrent.Status) time.Duration {
	useful := s.Downloaded - s.Wasted // less than before when a piece was found wrong
	if useful > n.last {
		n.came = time.Now()
	}
	n.last = useful
	return time.Since(n.came)
}

// complete tells that the file is complete, and for how long it is shared.
func (n *fetchNews) complete(linger time.Duration) {
	if linger > 0 {
		n.say(fmt.Sprintf("%s is complete; sharing for %d s (interrupt to stop)", n.meta.Name, int64(linger.Seconds())))
	}
}

// settle notes that the file is complete, after the last that the engine told.
func (n *fetchNews) settle() {
	n.report.State, n.report.Have, n.report.DownRate, n.report.UpRate, n.report.Left = "complete", n.report.Size, 0, 0, 0
}

// fetchLine is how far a fetch is, in one line.
func fetchLine(s torrent.Status) string {
	peers := count(len(s.Peers), "peer", "peers")
	given := fmt.Sprintf("gave %s (%.2f times)", disk.FormatSize(s.Uploaded), times(s.Uploaded, s.Size))
	if s.UpRate > 0 {
		given += fmt.Sprintf(" at %s/s", disk.FormatSize(s.UpRate))
	}
	if s.State != torrent.Fetching {
		return fmt.Sprintf("sharing %s: %s left, %s, %s", s.Name, s.Left.Round(time.Second), peers, given)
	}
	return gauge(fmt.Sprintf("%s: %s, %s", s.Name, peers, given), s.Have, s.Size, float64(s.DownRate))
}
