package operation

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"aula/appliance/catalog"
	"aula/clientos/protocol"
)

// An operation is kept in several records, so that a change of one of 500 PCs does not write the plan of them all again:
//
//	ID              the plan: the Operation as it was when it was planned, written once
//	ID.COMPUTER     how it stands on that PC, written at each change; the id is that of the instruction
//
// State, end and revision of the operation as a whole are computed from the PCs'.

// A standing is the record of one PC's part. Its Instruct is empty when the plan has it.
type standing struct {
	Target Target `json:"target"`
	Memory memory `json:"memory"`
}

func encodePlan(op Operation) ([]byte, error) { return json.Marshal(op) }

func decodePlan(id string, data []byte) (Operation, error) {
	var op Operation
	if err := json.Unmarshal(data, &op); err != nil {
		return Operation{}, err
	}
	if err := op.fromOld(data); err != nil {
		return Operation{}, err
	}
	if !isKind(op.Kind) {
		return Operation{}, fmt.Errorf("unknown kind %q", op.Kind)
	}
	if op.ID != id || !isID(id) {
		return Operation{}, fmt.Errorf("it says that it is operation %q", op.ID)
	}
	if len(op.Targets) == 0 {
		return Operation{}, errors.New("it has no computers")
	}
	seen := make(map[string]bool, len(op.Targets))
	for _, t := range op.Targets {
		if t.Instruct.ID != instructionID(id, t.ComputerID) || seen[t.ComputerID] {
			return Operation{}, fmt.Errorf("computer %q has instruction %q", t.ComputerID, t.Instruct.ID)
		}
		seen[t.ComputerID] = true
		if err := checkState(t); err != nil {
			return Operation{}, err
		}
		if err := op.checkInstruct(t); err != nil {
			return Operation{}, err
		}
	}
	return op, nil
}

func isKind(kind string) bool {
	switch kind {
	case CreateImage, RestoreImage, UpdateCache, DeleteCached, PartitionDisk, ConfigureOS, WakeUp, Reboot, BootDisk, PowerOff:
		return true
	}
	return false
}

// checkInstruct refuses the plan of a PC that no agent would begin.
func (op Operation) checkInstruct(t Target) error {
	switch {
	case ended(t.State): // refused by the pre-flight: it was never to be sent
		return nil
	case t.Step < 0 || t.Step >= max(len(op.Steps), 1):
		return fmt.Errorf("computer %q is at instruction %d of %d", t.ComputerID, t.Step+1, len(op.Steps))
	case !t.planned():
		return nil
	case t.Instruct.Kind != op.kindOf(t.Step):
		return fmt.Errorf("instruction %s is a %s", t.Instruct.ID, t.Instruct.Kind)
	case t.Instruct.Kind == WakeUp:
		return nil
	}
	return t.Instruct.Check()
}

// kindOf is the kind of a statement.
func (op Operation) kindOf(step int) string {
	if len(op.Steps) == 0 {
		return op.Kind
	}
	return op.Steps[step].Kind
}

// planned tells whether the plan holds the PC's instruction: it was looked at when the operation began.
func (t Target) planned() bool { return !t.Instruct.Issued.IsZero() }

// fromOld takes over what the plan of a restore said before a PC could be given several images at once.
func (op *Operation) fromOld(data []byte) error {
	if op.Kind != RestoreImage {
		return nil
	}
	var old struct {
		Targets []struct {
			Instruct struct {
				Image *protocol.Image `json:"image"`
			} `json:"instruct"`
		} `json:"targets"`
	}
	if err := json.Unmarshal(data, &old); err != nil {
		return err
	}
	for i := range op.Targets {
		in := &op.Targets[i].Instruct
		if image := old.Targets[i].Instruct.Image; image != nil && len(in.Parts) == 0 {
			in.Parts, in.Partition = []protocol.Part{{Partition: in.Partition, Image: *image}}, 0
		}
	}
	return nil
}

func encodeStanding(p part) ([]byte, error) {
	s := standing{Target: p.Target, Memory: p.memory}
	if !p.memory.Unplanned {
		s.Target.Instruct = Target{}.Instruct
	}
	return json.Marshal(s)
}

// decodeStanding lays a record over the part that the plan made.
func decodeStanding(planned Target, data []byte) (part, error) {
	var s standing
	if err := json.Unmarshal(data, &s); err != nil {
		return part{}, err
	}
	if s.Target.ComputerID != planned.ComputerID {
		return part{}, fmt.Errorf("it is of computer %q", s.Target.ComputerID)
	}
	if err := checkState(s.Target); err != nil {
		return part{}, err
	}
	switch s.Memory.Send {
	case unsent, sending, sent:
	default:
		return part{}, fmt.Errorf("unknown delivery %q", s.Memory.Send)
	}
	if !s.Memory.Unplanned {
		s.Target.Instruct = planned.Instruct
	}
	s.Target.Name = planned.Name
	return part{Target: s.Target, memory: s.Memory}, nil
}

func checkState(t Target) error {
	switch t.State {
	case Waiting, Running, LostContact, Done, Cancelled, Incomplete, NeverCame:
		return nil
	case Failed:
		if t.Failure == nil {
			return fmt.Errorf("computer %q failed without a reason", t.ComputerID)
		}
		return nil
	}
	return fmt.Errorf("computer %q is in unknown state %q", t.ComputerID, t.State)
}

// matters tells whether what an event changed must be stored before it is acted upon; the rest is progress.
func matters(before, after part) bool {
	return before.State != after.State || before.Dirty != after.Dirty || before.Failure != after.Failure ||
		before.Step != after.Step || before.Instruct.ID != after.Instruct.ID || !reflect.DeepEqual(before.weighty(), after.weighty())
}

// weighty is the memory without what a restart of the server may lose.
func (p part) weighty() memory {
	w := p.memory
	w.Seq, w.Heard, w.GivenUpAt, w.Expelled, w.Publishing = 0, time.Time{}, time.Time{}, false, false
	w.CancelSent, w.Woken = time.Time{}, time.Time{}
	if w.Send == sent && !isPower(p.Instruct.Kind) {
		w.Send = sending // whether it arrived, the PC says when it comes back
	}
	return w
}

// shows tells whether people see what an event changed.
func shows(before, after part) bool {
	a, b := before.Target, after.Target
	return a.State != b.State || a.Stage != b.Stage || a.Bytes != b.Bytes || a.Total != b.Total || a.Rate != b.Rate ||
		a.Dirty != b.Dirty || a.Verified != b.Verified || a.Failure != b.Failure || a.Step != b.Step || a.Slow != b.Slow ||
		!slices.Equal(a.Notes, b.Notes) || len(a.Warnings) != len(b.Warnings) || before.memory.Published != after.memory.Published
}

// instructionID is the identifier of one PC's instruction; operations and computers have no dot in theirs.
func instructionID(operationID, computerID string) string { return operationID + "." + computerID }

// nextID is the identifier of an instruction for a later statement than the first.
func nextID(first string, step int) string {
	if step == 0 {
		return first
	}
	return fmt.Sprintf("%s.%d", first, step)
}

// firstID is the identifier of the first instruction of the same PC, which is that of its record.
func firstID(id string) string {
	operation, rest, _ := strings.Cut(id, ".")
	computer, _, _ := strings.Cut(rest, ".")
	return instructionID(operation, computer)
}

// idTime is the first half of an operation's ID: UTC, to the millisecond.
const idTime = "20060102T150405.000"

// newID makes an ID that sorts after last, whatever the clock says.
func newID(now time.Time, last string, suffix string) string {
	now = now.UTC().Truncate(time.Millisecond)
	if t, err := timeOf(last); err == nil && !now.After(t) {
		now = t.Add(time.Millisecond)
	}
	return strings.Replace(now.Format(idTime), ".", "", 1) + "-" + suffix
}

func timeOf(id string) (time.Time, error) {
	stamp, _, ok := strings.Cut(id, "-")
	if !ok || len(stamp) != len(idTime)-1 {
		return time.Time{}, fmt.Errorf("%q is no operation's identifier", id)
	}
	return time.Parse(idTime, stamp[:len(stamp)-3]+"."+stamp[len(stamp)-3:])
}

func isID(id string) bool {
	_, err := timeOf(id)
	return err == nil && !strings.Contains(id, ".")
}

// A stored operation is what the records say of one.
type stored struct {
	op        Operation
	standings map[string][]byte // by instruction
}

// readRecords reads all operations in the order of their IDs. It answers too what cannot be read and what belongs to no
// operation.
func readRecords(store Store) (all []stored, unreadable map[string]error, err error) {
	unreadable = make(map[string]error)
	byID := make(map[string]*stored)
	err = store.EachRecord(catalog.Operations, func(id string, data []byte) error {
		if operation, _, ok := strings.Cut(id, "."); ok { // ids sort so that the plan comes first
			if s := byID[operation]; s != nil {
				s.standings[id] = data
			} else {
				unreadable[id] = errors.New("it belongs to no operation")
			}
			return nil
		}
		op, err := decodePlan(id, data)
		if err != nil {
			unreadable[id] = err
			return nil
		}
		byID[id] = &stored{op: op, standings: make(map[string][]byte)}
		return nil
	})
	for _, s := range byID {
		all = append(all, *s)
	}
	slices.SortFunc(all, func(a, b stored) int { return strings.Compare(a.op.ID, b.op.ID) })
	return all, unreadable, err
}
