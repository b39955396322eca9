package webui

import (
	"fmt"
	"strings"
	"time"

	"aula/appliance/catalog"
	"aula/appliance/operation"
	"aula/clientos/protocol"
)

// The live elements of pages. Each has a shape, whose change replaces its HTML, and numbers, which are written into it.

// A tile is one PC in its room.
type tile struct {
	condition
	Key  string // data-live
	ID   string
	Name string
	Work string // id of the operation that has it, for a link

	Group string // name of its group; may be empty
	Next  string // what it boots once, in words; empty when that is as always
}

// tileOf takes the names of groups by their ids.
func tileOf(pc catalog.Computer, c condition, groups map[string]string) tile {
	return tile{condition: c, Key: "pc-" + pc.ID, ID: pc.ID, Name: pc.Name, Group: groups[pc.GroupID], Next: targetWords[pc.NextBoot]}
}

// groupNames are those of all classrooms, by id.
func (s *Server) groupNames() (map[string]string, error) {
	all, err := s.cfg.Catalog.Groups("")
	names := make(map[string]string, len(all))
	for _, g := range all {
		names[g.ID] = g.Name
	}
	return names, err
}

func (t tile) shape() string {
	return fmt.Sprint(t.Name, t.mark, t.Detail, t.Busy, t.Percent < 0, t.Group, t.Next)
}

func (t tile) numbers() string { return fmt.Sprint(t.Percent, t.Rate, t.Left) }

func (t tile) fields() map[string]string {
	return map[string]string{"percent": percentText(t.Percent), "rate": t.Rate, "left": t.Left}
}

// PercentText is "42 %", or nothing.
func (c condition) PercentText() string { return percentText(c.Percent) }

func percentText(p int) string {
	if p < 0 {
		return ""
	}
	return fmt.Sprintf("%d %%", p)
}

// A row is one PC's part in an operation's page.
type row struct {
	mark
	Key      string
	ID, Name string
	Percent  int
	Amount   string // "3.2 of 8.1 GB"
	Rate     string
	Left     string
	Running  bool
	Verified string
	Note     string // one line in the place of progress
	Step     string // "2 of 3: restoreImage", of a program of several statements
	Slow     string // what holds it up
	Notes    []string
	Warnings []protocol.Failure
	Scripts  []protocol.ScriptResult
	Failure  *protocol.Failure
	Dirty    bool
}

func targetRow(op operation.Operation, t operation.Target) row {
	r := row{
		mark: markOfTarget(op.Kind, t), Key: "work-" + op.ID + "-" + t.ComputerID, ID: t.ComputerID, Name: t.Name,
		Percent: -1, Failure: t.Failure, Dirty: t.Dirty && over(t.State) && t.State != operation.Done,
		Step: stepOf(op, t), Notes: t.Notes, Warnings: t.Warnings, Scripts: t.Scripts,
	}
	if t.State == operation.Running {
		r.Slow = slowWords[t.Slow]
		r.Running, r.Percent = true, percent(t.Bytes, t.Total)
		r.Rate, r.Left = perSecond(t.Rate), left(t.Bytes, t.Total, t.Rate)
		if t.Total > 0 {
			r.Amount = size(t.Bytes) + " of " + size(t.Total)
		}
	}
	if t.Verified > 0 {
		r.Verified = size(t.Verified)
	}
	switch {
	case t.State == operation.LostContact && t.Stage != "":
		r.Note = "It was " + strings.ToLower(stageWords[t.Stage]) + " when it fell silent, and goes on if it comes back."
	case t.State == operation.Waiting && (t.Step > 0 || !op.Ended.IsZero()):
	case t.State == operation.Waiting:
		r.Note = "It begins when it is connected."
		if op.Late > 0 {
			r.Note = "It begins when it is connected, until " + op.Created.Add(op.Late).Local().Format("15:04") + "."
		}
	case t.State == operation.Running && t.Stage == protocol.StageWaiting:
		r.Note = "The session begins when all have joined, or its wait is over."
	case t.State == operation.NeverCame:
		r.Note = "It was not connected for as long as it was waited for."
	case t.State == operation.LostContact:
		r.Note = "It fell silent, and goes on if it comes back."
	case !t.Started.IsZero() && !t.Ended.IsZero():
		r.Note = "in " + took(t.Ended.Sub(t.Started))
	}
	return r
}

// stepOf says at which statement of several a PC is, once the first is behind it.
func stepOf(op operation.Operation, t operation.Target) string {
	if t.Step < 1 || t.Step >= len(op.Steps) || t.State == operation.Done {
		return ""
	}
	return fmt.Sprintf("%d of %d: %s", t.Step+1, len(op.Steps), op.Steps[t.Step].Statement.Word)
}

func (r row) shape() string {
	problem := ""
	if r.Failure != nil {
		problem = r.Failure.Problem
	}
	return fmt.Sprint(r.mark, r.Running, r.Percent < 0, r.Verified, r.Note, problem, r.Dirty, r.Step, r.Slow, r.Notes, r.Warnings, r.Scripts)
}

func (r row) numbers() string { return fmt.Sprint(r.Percent, r.Amount, r.Rate, r.Left) }

// PercentText is "42 %", or nothing.
func (r row) PercentText() string { return percentText(r.Percent) }

func (r row) fields() map[string]string {
	return map[string]string{"percent": percentText(r.Percent), "amount": r.Amount, "rate": r.Rate, "left": r.Left}
}

// A head is an operation as its page and the lists begin it.
type head struct {
	mark
	Key, ID   string
	What      string
	Where     string
	Image     string
	Revision  int
	Summary   string
	Actor     string
	Created   time.Time
	Took      string
	Percent   int // of the whole, roughly
	Ended     bool
	Layout    bool
	Restore   bool
	FailedPCs []string // ids of the PCs on which a restore may be repeated
	Awaited   int      // PCs that are waited for
	Retry     bool     // there is something to repeat, and it is recorded
	Warned    int      // PCs that are done with warnings
	Session   string   // how the multicast session stands, in words
}

func operationHead(op operation.Operation, now time.Time) head {
	h := head{
		mark: markOf(op.Kind, op.State, ""), Key: "op-" + op.ID, ID: op.ID, What: titleOf(op), Where: whereOf(op), Image: op.Image,
		Revision: op.Revision, Summary: sentence(summaryOf(op)), Actor: op.Actor, Created: op.Created, Ended: !op.Ended.IsZero(),
		Percent: progressOf(op), Layout: op.Layout, Restore: op.Kind == operation.RestoreImage,
	}
	for _, t := range op.Targets {
		h.Awaited += boolInt(!h.Ended && (t.State == operation.Waiting || t.Stage == protocol.StageWaiting))
		h.Warned += boolInt(t.State == operation.Done && len(t.Warnings) > 0)
	}
	if h.Tone == toneGood && h.Warned > 0 {
		h.mark = mark{toneWarn, "warn", "Done with warnings"}
	}
	h.Retry = h.Ended && len(op.Steps) > 0 && (op.State != operation.Done || h.Warned > 0)
	end := now
	if h.Ended {
		end = op.Ended
		for _, t := range op.Targets {
			if h.Restore && t.State != operation.Done {
				h.FailedPCs = append(h.FailedPCs, t.ComputerID)
			}
		}
	}
	h.Took = took(max(0, end.Sub(op.Created)))
	return h
}

func (h head) shape() string {
	return fmt.Sprint(h.mark, h.What, h.Summary, h.Ended, h.Awaited > 0)
}

// PercentText is "42 %".
func (h head) PercentText() string { return percentText(h.Percent) }

func (h head) fields() map[string]string {
	return map[string]string{"percent": h.PercentText(), "took": h.Took}
}

// stageShares is how much of a PC's part is behind it when a stage begins and ends, for the one bar of the whole operation.
var stageShares = map[string][2]float64{
	protocol.StagePreflight:    {0, 0.02},
	protocol.StagePartitioning: {0.02, 0.05},
	protocol.StageFormatting:   {0.02, 0.05},
	protocol.StageWaiting:      {0.02, 0.05},
	protocol.StageCaching:      {0.05, 0.45},
	protocol.StageConfiguring:  {0.98, 1},
	protocol.StageSharing:      {0.99, 1},
	protocol.StageReading:      {0.02, 0.80},
	protocol.StagePublishing:   {0.80, 1},
	protocol.StageWriting:      {0.05, 0.65},
	protocol.StageVerifying:    {0.65, 0.98},
	protocol.StageFinishing:    {0.98, 1},
}

// progressOf is how far an operation is, roughly, from 0 to 100.
func progressOf(op operation.Operation) int {
	if len(op.Targets) == 0 {
		return 0
	}
	sum := 0.0
	for _, t := range op.Targets {
		if over(t.State) {
			sum++
			continue
		}
		share := stageShares[t.Stage]
		part := share[0]
		if t.Total > 0 {
			part += (share[1] - share[0]) * min(1, float64(t.Bytes)/float64(t.Total))
		}
		if n := len(op.Steps); n > 1 { // all statements count alike
			part = (part + float64(min(max(t.Step, 0), n-1))) / float64(n)
		}
		sum += part
	}
	return int(sum / float64(len(op.Targets)) * 100)
}

// A roomCount is how a room stands in one sentence.
type roomCount struct {
	ID                             string
	All, Ready, Busy, Failed, Away int
}

func (r *roomCount) add(c condition) {
	r.All++
	switch {
	case c.Busy:
		r.Busy++
	case c.Tone == toneBad || c.Tone == toneWarn:
		r.Failed++
	case c.Tone == toneIdle:
		r.Away++
	default:
		r.Ready++
	}
}

// Sentence is "12 PCs: 8 ready, 3 busy, 1 needs attention".
func (r roomCount) Sentence() string {
	var parts []string
	for _, p := range []struct {
		n    int
		word string
	}{{r.Ready, "ready"}, {r.Busy, "busy"}, {r.Away, "not connected"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.word))
		}
	}
	if r.Failed > 0 {
		parts = append(parts, count(r.Failed, "needs attention", "need attention"))
	}
	if r.All == 0 {
		return "No PCs"
	}
	return count(r.All, "PC", "PCs") + ": " + strings.Join(parts, ", ")
}
