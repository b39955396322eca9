package webui

import (
	"fmt"
	"time"

	"aula/appliance/catalog"
	"aula/appliance/operation"
	"aula/clientos/protocol"
)

// A condition is how one PC stands, as its tile shows it.
type condition struct {
	mark
	Detail  string // one short line
	Percent int    // of the stage, -1 when there is nothing to measure
	Rate    string
	Left    string
	Busy    bool // an operation has it
}

// A standing is what a condition is made of.
type standing struct {
	Connected bool
	Since     time.Time // connected since
	LastSeen  time.Time
	Pending   bool
	// Work is the PC's part in the operation that has it now, or else in the last one; Op is that operation.
	Op   operation.Operation
	Work operation.Target
	Busy bool
	// Torrent is what it does by BitTorrent; its State is empty when it does nothing.
	Torrent torrentPart
}

// conditionOf decides what a technician must know of a PC first: what it is doing; else what went wrong with it and nobody has
// repeated since; else whether it can be commanded.
func conditionOf(st standing, now time.Time) condition {
	c := condition{Percent: -1}
	switch {
	case st.Busy:
		c.mark, c.Busy = markOfTarget(st.Op.Kind, st.Work), true
		c.Detail = titleOf(st.Op)
		if st.Work.State == operation.Running {
			c.Percent = percent(st.Work.Bytes, st.Work.Total)
			c.Rate, c.Left = perSecond(st.Work.Rate), left(st.Work.Bytes, st.Work.Total, st.Work.Rate)
		}
	case st.Work.State == operation.Failed, st.Work.State == operation.Incomplete,
		st.Work.State == operation.Cancelled && st.Work.Dirty:
		c.mark = markOf(st.Op.Kind, st.Work.State, st.Work.Stage)
		c.Detail = reason(st.Work.Failure)
		if c.Detail == "" && st.Work.Dirty {
			c.Detail = "its disk holds half an image"
		}
	case st.Pending:
		c.mark = mark{toneWarn, "plus", "Pending"}
		c.Detail = "waits to be accepted"
	case st.Torrent.State == peerFetching:
		t := st.Torrent
		c.mark, c.Detail = mark{toneWork, "down", "Fetching"}, t.Title+" by BitTorrent"
		c.Percent, c.Rate, c.Left = percent(t.Have, t.Size), perSecond(t.DownRate), left(t.Have, t.Size, t.DownRate)
	case !st.Connected:
		c.mark = mark{toneIdle, "off", "Not connected"}
		c.Detail = "seen " + ago(st.LastSeen, now)
	case st.Op.Kind == operation.RestoreImage && st.Work.State == operation.Done && !st.Since.After(st.Work.Ended):
		c.mark = markOfTarget(st.Op.Kind, st.Work)
		c.Detail = fmt.Sprintf("%s revision %d", st.Op.Image, st.Op.Revision)
	default:
		c.mark = mark{toneGood, "ready", "Ready"}
		c.Detail = "connected " + ago(st.Since, now)
		if st.Torrent.State == peerSharing {
			c.Detail = "shares " + st.Torrent.Title + " by BitTorrent"
		}
	}
	return c
}

// reason is a failure in one line.
func reason(f *protocol.Failure) string {
	if f == nil {
		return ""
	}
	return f.Problem
}

// standings gathers the standing of every PC at once: one look at the operations instead of one for each PC.
type standings struct {
	s     *Server
	last  map[string]lastWork
	parts map[string]torrentPart
}

type lastWork struct {
	op     operation.Operation
	target operation.Target
}

// recentOperations bounds how far back the last work of a PC is looked for.
const recentOperations = 200

func (s *Server) standings() *standings {
	st := &standings{s: s, last: map[string]lastWork{}}
	for _, op := range s.cfg.Operations.Operations(recentOperations) {
		st.note(op)
	}
	swarms, err := s.swarms()
	if err != nil {
		s.log.Warn("torrents not read", "error", err)
	}
	st.parts = torrentParts(swarms)
	return st
}

// note takes up an operation, unless a PC already has a later one.
func (st *standings) note(op operation.Operation) {
	if isPower(op.Kind) && !op.Ended.IsZero() {
		return // it says nothing of what is on the disk
	}
	for _, t := range op.Targets {
		if last, ok := st.last[t.ComputerID]; !ok || last.op.ID <= op.ID { // ids sort by time
			st.last[t.ComputerID] = lastWork{op, t}
		}
	}
}

func isPower(kind string) bool {
	return kind == operation.Reboot || kind == operation.BootDisk || kind == operation.PowerOff || kind == operation.WakeUp
}

// over tells whether a target's state is final.
func over(state string) bool {
	switch state {
	case operation.Done, operation.Failed, operation.Cancelled, operation.Incomplete, operation.NeverCame:
		return true
	}
	return false
}

// of returns how a computer stands.
func (st *standings) of(pc catalog.Computer) standing {
	out := standing{Pending: pc.State == catalog.Pending, LastSeen: pc.LastSeen}
	out.Torrent = st.parts[pc.ID]
	if session, ok := st.s.cfg.Roster.Session(pc.ID); ok {
		out.Connected, out.Since = true, session.Since
	}
	if last, ok := st.last[pc.ID]; ok {
		out.Op, out.Work, out.Busy = last.op, last.target, !over(last.target.State)
	}
	return out
}
