// Package operation holds what is being done: each capture, restore or power command is an Operation with stages
// per PC, a reason for each failure, and a record that survives a restart of the server at any instant. Only this package
// commands PCs.
//
// The rules by which an operation moves are a pure state machine (events and time in, new state and effects out); the Manager
// around it stores each state before acting on it. It is not about how bytes move, nor about who may ask.
package operation

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"aula/clientos/protocol"
)

// Kinds of operations, named as OpenGnsys' instructions.
const (
	CreateImage  = protocol.CreateImage
	RestoreImage = protocol.RestoreImage
	Reboot       = protocol.Reboot
	BootDisk     = protocol.BootDisk
	PowerOff     = protocol.PowerOff
)

// States of a Target, and of an Operation as a whole.
const (
	Waiting     = "waiting"      // planned; the PC has not taken the instruction yet
	Running     = "running"      //
	LostContact = "lost contact" // was running when the PC fell silent; may come back
	Done        = "done"         // of a restore: every used byte read back and found equal
	Failed      = "failed"       // with a Failure
	Cancelled   = "cancelled"    //
	Incomplete  = "incomplete"   // ended without a verdict; if Dirty, the disk holds half a restore
)

// An Operation is one thing asked for, and how it stands on each PC.
type Operation struct {
	ID       string    `json:"id"` // sorts by time of creation
	Kind     string    `json:"kind"`
	Actor    string    `json:"actor"` // user who asked
	Created  time.Time `json:"created"`
	Ended    time.Time `json:"ended,omitzero"`
	State    string    `json:"state"` // Running until all targets ended, then Done (all), Failed (any), Cancelled, Incomplete
	Image    string    `json:"image,omitempty"`
	Revision int       `json:"revision,omitempty"` // of a restore: which; of a capture: what it became
	Layout   bool      `json:"layout,omitempty"`   // restore: the disk's layout is applied first
	Targets  []Target  `json:"targets"`
}

// A Target is one PC's part in an Operation.
type Target struct {
	ComputerID string            `json:"computerID"`
	Name       string            `json:"name"` // of the PC when the operation was planned
	State      string            `json:"state"`
	Stage      string            `json:"stage,omitempty"` // of protocol
	Bytes      int64             `json:"bytes"`
	Total      int64             `json:"total"`
	Rate       int64             `json:"rate"` // byte/s
	Dirty      bool              `json:"dirty,omitempty"`
	Verified   int64             `json:"verified,omitempty"`
	Failure    *protocol.Failure `json:"failure,omitempty"`
	Instruct   protocol.Instruct `json:"instruct"`
	Started    time.Time         `json:"started,omitzero"`
	Ended      time.Time         `json:"ended,omitzero"`
}

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("no such operation")
	ErrRefused  = errors.New("operation refused") // wrapped with the reason; nothing was done
)

// Agents is what the Manager needs of the roster.
type Agents interface {
	// Instruct sends an instruction to a connected PC. When it answers nil the PC will report, or lose contact.
	Instruct(computerID string, in protocol.Instruct) error
	Cancel(computerID, instructionID string) error
	// Settle tells the PC that the verdict on an instruction is stored.
	Settle(computerID, instructionID string) error
	Connected(computerID string) bool
}

// A Config gives a Manager what it works with. (The concrete stores are appliance/catalog and imagestore.)
type Config struct {
	Agents  Agents
	Changed func(id string) // called after each change of an operation; must not block; may be nil
	Log     *slog.Logger
	// LostAfter is how long a silent PC stays LostContact before its target ends Incomplete; 10 min when zero.
	LostAfter time.Duration
}

// A CaptureRequest asks for an image of one partition.
type CaptureRequest struct {
	ComputerID string `json:"computerID"`
	Disk       int    `json:"disk"`
	Partition  int    `json:"partition"`
	Image      string `json:"image"` // canonical name
}

// A RestoreRequest asks for an image on the same partition of each PC.
type RestoreRequest struct {
	ComputerIDs []string `json:"computerIDs"`
	Disk        int      `json:"disk"`
	Partition   int      `json:"partition"`
	Image       string   `json:"image"`
	Layout      bool     `json:"layout"` // apply the layout beside the image to the whole disk first
}

// A Preflight is what would happen to one PC: the disk that would be written and what is on it, or why not.
type Preflight struct {
	ComputerID string            `json:"computerID"`
	Name       string            `json:"name"`
	Disk       string            `json:"disk"`  // model, serial, size
	Loses      []string          `json:"loses"` // partitions whose data will be overwritten, for people
	Failure    *protocol.Failure `json:"failure,omitempty"`
}

// A Manager runs operations. Its methods are safe for concurrent use.
type Manager struct{}

// PreflightRestore tells what Restore would do, and does nothing.
func (m *Manager) PreflightRestore(ctx context.Context, r RestoreRequest) ([]Preflight, error) {
	return nil, nil
}

// Capture starts a CreateImage operation.
func (m *Manager) Capture(ctx context.Context, actor string, r CaptureRequest) (Operation, error) {
	return Operation{}, nil
}

// Restore starts a RestoreImage operation; PCs that fail the pre-flight are in it as Failed and are not touched.
func (m *Manager) Restore(ctx context.Context, actor string, r RestoreRequest) (Operation, error) {
	return Operation{}, nil
}

// Power starts a Reboot, BootDisk or PowerOff operation.
func (m *Manager) Power(ctx context.Context, actor, kind string, computerIDs []string) (Operation, error) {
	return Operation{}, nil
}

// Cancel asks every PC of an operation that has not ended to stop.
func (m *Manager) Cancel(ctx context.Context, id string) error { return nil }

// Operation returns one.
func (m *Manager) Operation(id string) (Operation, error) { return Operation{}, ErrNotFound }

// Operations returns the newest first, at most limit of them.
func (m *Manager) Operations(limit int) []Operation { return nil }

// Current returns the operation that has the PC now, if any.
func (m *Manager) Current(computerID string) (Operation, Target, bool) {
	return Operation{}, Target{}, false
}
