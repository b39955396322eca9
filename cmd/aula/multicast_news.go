package main

import (
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"os"
	"time"

	"aula/clientos/disk"
	"aula/imagestore/multicast"
)

// showEvery is how often it is looked what is new.
const showEvery = 500 * time.Millisecond

// senderNews tells people how a sender is: on a terminal one line that changes, and beside it once what they should know; elsewhere a line
// for each change.
type senderNews struct {
	wanted   int // computers
	progress *bar
	phase    multicast.Phase
	known    map[receiverID]multicast.ReceiverState
}

// A receiverID tells receivers apart: several may run on one machine, of one name.
type receiverID struct {
	name    string
	address netip.Addr
	nth     int
}

func (n *senderNews) tell(s multicast.SenderStatus) {
	terminal := n.progress.w != nil
	say(n.progress, n.changes(s, terminal))
	if terminal {
		n.progress.draw(clip(senderLine(s, n.wanted), n.progress.w))
	}
}

// changes are the lines about what was not so the last time.
func (n *senderNews) changes(s multicast.SenderStatus, terminal bool) (lines []string) {
	phase := s.Phase != n.phase && !terminal
	n.phase = s.Phase
	if phase && s.Phase != multicast.Ended {
		lines = append(lines, phaseLine(s, n.wanted))
	}
	if n.known == nil {
		n.known = map[receiverID]multicast.ReceiverState{}
	}
	seen := map[receiverID]int{}
	for _, r := range s.Receivers {
		id := receiverID{name: r.Name, address: r.Address}
		seen[id]++
		id.nth = seen[id]
		if n.known[id] == r.State {
			continue
		}
		n.known[id] = r.State
		if troubled(r) || !terminal {
			lines = append(lines, receiverLine(r))
		}
	}
	if phase && s.Phase == multicast.Ended {
		lines = append(lines, phaseLine(s, n.wanted))
	}
	return lines
}

// phaseLine is what a sender is doing now.
func phaseLine(s multicast.SenderStatus, wanted int) string {
	here := count(len(s.Receivers), "computer", "computers")
	switch s.Phase {
	case multicast.Waiting:
		return fmt.Sprintf("waiting for computers: %d of %d here", len(s.Receivers), max(wanted, 1))
	case multicast.Sending:
		return fmt.Sprintf("sending %s to %s", contentWords(s.Name, s.Size), here)
	case multicast.CatchingUp:
		return fmt.Sprintf("catching up: %d of %s complete, the others get what they miss", completed(s), here)
	}
	return fmt.Sprintf("ended: %d of %s complete", completed(s), here)
}

func completed(s multicast.SenderStatus) (n int) {
	for _, r := range s.Receivers {
		if r.State == multicast.Complete {
			n++
		}
	}
	return n
}

// contentWords is what is sent, and how much.
func contentWords(name string, size int64) string {
	if size == multicast.Unknown {
		return cmp.Or(name, "a stream")
	}
	return fmt.Sprintf("%s (%s)", name, disk.FormatSize(size))
}

// receiverLine is how a receiver is, and why.
func receiverLine(r multicast.ReceiverStatus) string {
	if !troubled(r) {
		return fmt.Sprintf("%s: %s", whom(r), r.State)
	}
	return fmt.Sprintf("%s: %s, %.0f %%: %s", whom(r), r.State, r.Percent, cmp.Or(r.Reason, "no reason is known"))
}

// troubled tells whether people should know of a receiver even when they see the whole.
func troubled(r multicast.ReceiverStatus) bool {
	switch r.State {
	case multicast.Joined, multicast.Receiving, multicast.Complete:
		return false
	}
	return true
}

func whom(r multicast.ReceiverStatus) string {
	if r.Name == "" || r.Name == r.Address.String() {
		return r.Address.String()
	}
	return fmt.Sprintf("%s (%s)", r.Name, r.Address)
}

// senderLine is how far a sender is, in one line.
func senderLine(s multicast.SenderStatus, wanted int) string {
	if s.Phase == multicast.Waiting || s.Phase == multicast.Ended {
		return phaseLine(s, wanted)
	}
	stage := fmt.Sprintf("%s at %s, %d of %d complete", s.Phase, megabits(s.Rate), completed(s), len(s.Receivers))
	done, rate := s.Sent, 0.0
	if seconds := s.Elapsed.Seconds(); seconds >= 1 {
		rate = float64(s.Sent) / seconds
	}
	if r, ok := slowest(s); ok {
		stage += fmt.Sprintf(", slowest %s %.0f %%", r.Name, r.Percent)
		if s.Phase == multicast.CatchingUp {
			done, rate = r.Done, float64(r.Rate)
		}
	}
	return gauge(stage, done, max(s.Size, 0), rate)
}

// slowest is the receiver that is furthest behind.
func slowest(s multicast.SenderStatus) (multicast.ReceiverStatus, bool) {
	for _, r := range s.Receivers {
		if s.Slowest != "" && r.Name == s.Slowest && r.State != multicast.Complete {
			return r, true
		}
	}
	return multicast.ReceiverStatus{}, false
}

// receptionNews tells people how a receiver is.
type receptionNews struct {
	port     int
	group    netip.Addr
	progress *bar
	last     reception
	told     bool // something, once
}

// A reception is what is told of one elsewhere than on a terminal, when it changes.
type reception struct {
	sender         netip.AddrPort
	started, alone bool
}

func (n *receptionNews) tell(s multicast.ReceptionStatus) {
	terminal := n.progress.w != nil
	say(n.progress, n.changes(s, terminal))
	if terminal {
		n.progress.draw(clip(n.line(s), n.progress.w))
	}
}

// changes are the lines about what was not so the last time.
func (n *receptionNews) changes(s multicast.ReceptionStatus, terminal bool) (lines []string) {
	now := reception{s.Sender, s.Started, s.Alone}
	whole := s.Size != multicast.Unknown && s.Done == s.Size
	if now.alone && !n.last.alone && !whole {
		lines = append(lines, "served by unicast: the group does not reach this machine (look at the switch's multicast settings and at --interface)")
	}
	if now.sender != n.last.sender && n.last.sender.IsValid() {
		lines = append(lines, fmt.Sprintf("another sender: %s", now.sender.Addr()))
	}
	switch {
	case terminal:
	case now.started && !n.last.started:
		lines = append(lines, fmt.Sprintf("receiving %s from %s", contentWords(s.Name, s.Size), s.Sender.Addr()))
	case !n.told, now.sender != n.last.sender:
		lines = append(lines, n.line(s))
	}
	if now.started && !n.last.started && s.Resumed > 0 {
		lines = append(lines, fmt.Sprintf("%s are here from an earlier time", disk.FormatSize(s.Resumed)))
	}
	n.told = true
	n.last = now
	return lines
}

// line is how far a receiver is, in one line.
func (n *receptionNews) line(s multicast.ReceptionStatus) string {
	switch {
	case !s.Sender.IsValid():
		return fmt.Sprintf("waiting for a sender on port %d, group %s", n.port, n.group)
	case !s.Started:
		return fmt.Sprintf("waiting for the start of %s at %s", cmp.Or(s.Name, "the sender"), s.Sender.Addr())
	}
	return gauge(fmt.Sprintf("%s from %s", s.Name, s.Sender.Addr()), s.Done, max(s.Size, 0), float64(s.Rate))
}

// say prints lines on stderr, above the one that changes.
func say(progress *bar, lines []string) {
	if len(lines) == 0 {
		return
	}
	progress.end()
	for _, line := range lines {
		fmt.Fprintln(os.Stderr, line)
	}
}

// clip cuts a line to the width of a terminal, where a longer one would not be wiped.
func clip(line string, w io.Writer) string {
	columns := columns(w)
	if runes := []rune(line); columns > 1 && len(runes) >= columns {
		return string(runes[:columns-1])
	}
	return line
}
