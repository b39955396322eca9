// Package operation holds what is being done: each capture, restore or power command is an Operation with stages
// per PC, a reason for each failure, and a record that survives a restart of the server at any instant. Only this package
// commands PCs.
//
// The rules by which an operation moves are a pure state machine (rules.go: events and time in, new state and effects
// out); the Manager around it stores each state before acting on it. It is not about how bytes move, nor about who may ask.
//
// What it guarantees: a restore is Done only when its PC said that it read back every used byte of the image and
// found it equal; a capture only when the image is published and the PC agrees. A target is always in one of the
// states below; it leaves an ended one never, and it ends however its PC, the network or the server fail.
package operation

import (
	"errors"
	"time"

	"aula/clientos/protocol"
)

// Kinds of operations, named as OpenGnsys' instructions.
const (
	CreateImage   = protocol.CreateImage
	RestoreImage  = protocol.RestoreImage
	UpdateCache   = protocol.UpdateCache
	DeleteCached  = protocol.DeleteCached
	PartitionDisk = protocol.PartitionDisk
	ConfigureOS   = protocol.ConfigureOS
	WakeUp        = "wakeUp" // the server's own: wake on LAN, then wait for the PC
	Reboot        = protocol.Reboot
	BootDisk      = protocol.BootDisk
	PowerOff      = protocol.PowerOff
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
	NeverCame   = "never came"   // was not connected for as long as it was waited for
)

// An Operation is one thing asked for, and how it stands on each PC.
type Operation struct {
	ID      string    `json:"id"` // sorts by time of creation
	Kind    string    `json:"kind"`
	Actor   string    `json:"actor"` // user who asked
	Created time.Time `json:"created"`
	Ended   time.Time `json:"ended,omitzero"`
	State   string    `json:"state"` // Running until all targets ended, then Done (all), Failed (any), Cancelled, Incomplete
	// Repository is the one that has, or gets, the image; empty in records from before there were several.
	Repository string `json:"repository,omitempty"`
	Image      string `json:"image,omitempty"`    // its name; of a restore of a whole disk perhaps that of a set
	Revision   int    `json:"revision,omitempty"` // of a restore: which, 0 of a set; of a capture: what it became
	Layout     bool   `json:"layout,omitempty"`   // restore: the disk's layout is applied first
	Whole      bool   `json:"whole,omitempty"`    // restore: of the whole disk
	// Text is the program of an operation that was asked for by one, and Note why.
	Text    string   `json:"text,omitempty"`
	Note    string   `json:"note,omitempty"`
	Targets []Target `json:"targets"`
	// Steps are the statements of the program, in order; empty in records from before there were programs.
	Steps []Step `json:"steps,omitempty"`
	// Late is for how long PCs that are not connected may still come in.
	Late time.Duration `json:"late,omitempty"`
}

// A Target is one PC's part in an Operation.
type Target struct {
	ComputerID string                  `json:"computerID"`
	Name       string                  `json:"name"` // of the PC when the operation was planned
	State      string                  `json:"state"`
	Stage      string                  `json:"stage,omitempty"` // of protocol
	Bytes      int64                   `json:"bytes"`
	Total      int64                   `json:"total"`
	Rate       int64                   `json:"rate"`            // byte/s
	Dirty      bool                    `json:"dirty,omitempty"` // the disk was written to and holds no whole restore
	Verified   int64                   `json:"verified,omitempty"`
	Failure    *protocol.Failure       `json:"failure,omitempty"`
	Instruct   protocol.Instruct       `json:"instruct"`       // without the layout and the scripts, which are added when it is sent
	Step       int                     `json:"step,omitempty"` // number of the statement that it is at, from 0
	Slow       string                  `json:"slow,omitempty"` // what it waits for most, see protocol.Report
	Notes      []string                `json:"notes,omitempty"`
	Warnings   []protocol.Failure      `json:"warnings,omitempty"` // Done with warnings
	Scripts    []protocol.ScriptResult `json:"scripts,omitempty"`
	Started    time.Time               `json:"started,omitzero"`
	Ended      time.Time               `json:"ended,omitzero"`
}

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("no such operation")
	ErrRefused  = errors.New("operation refused") // wrapped with the reason; nothing was done
)

// A CaptureRequest asks for an image of one partition.
type CaptureRequest struct {
	ComputerID string `json:"computerID"`
	Disk       int    `json:"disk"`
	Partition  int    `json:"partition"`
	Repository string `json:"repository,omitempty"` // empty: the first one
	Image      string `json:"image"`                // canonical name
	Compressor string `json:"compressor,omitempty"` // format.Zstd (our own form, when empty), Lzop or Gzip
	Level      int    `json:"level,omitempty"`      // of the compressor, 0 for its default
}

// A RestoreRequest asks for an image on the same partition of each PC, or on the whole of the same disk.
type RestoreRequest struct {
	ComputerIDs []string `json:"computerIDs"`
	Disk        int      `json:"disk"`
	Partition   int      `json:"partition"`            // not with Whole
	Repository  string   `json:"repository,omitempty"` // empty: the first one that has the image
	Image       string   `json:"image"`
	Revision    int      `json:"revision,omitempty"` // 0: the current one, of a set always
	Layout      bool     `json:"layout"`             // apply the layout beside the image to the whole disk first
	// Whole writes the whole disk: Image is either an image of a disk (format.Disk) or the name of a set (imagestore.Source.Set),
	// whose layout is applied and all of whose images are restored.
	Whole bool `json:"whole,omitempty"`
	// SetDisk is the disk that the images of a set come from, when the set has those of several; 0 when it has one.
	SetDisk int `json:"setDisk,omitempty"`
}

// A Preflight is what would happen to one PC: the disk that would be written and what is on it, or why not.
type Preflight struct {
	ComputerID string   `json:"computerID"`
	Name       string   `json:"name"`
	Disk       string   `json:"disk"`  // model, serial, size
	Loses      []string `json:"loses"` // partitions whose data will be overwritten, for people
	Online     bool     `json:"online"`
	// Way says how the image comes, for people: "from its cache, which has the image", "through the cache by MULTICAST", "straight to the disk by UNICAST: no cache".
	// Of several instructions it says each in turn.
	Way     string            `json:"way,omitempty"`
	Notes   []string          `json:"notes,omitempty"` // what people should know before they begin
	Failure *protocol.Failure `json:"failure,omitempty"`
}

// ended tells whether a state is final.
func ended(state string) bool {
	switch state {
	case Done, Failed, Cancelled, Incomplete, NeverCame:
		return true
	}
	return false
}

// isPower tells whether a kind of operation is over as soon as the PC obeys.
func isPower(kind string) bool { return kind == Reboot || kind == BootDisk || kind == PowerOff }

// overall is the state of an operation whose targets are in the given states: the one that wants most attention, when all
// ended.
func overall(states []string) string {
	all := Done
	for _, state := range states {
		if !ended(state) {
			return Running
		}
		if gravity[state] > gravity[all] {
			all = state
		}
	}
	return all
}

var gravity = map[string]int{Done: 0, Cancelled: 1, NeverCame: 2, Incomplete: 3, Failed: 4}
