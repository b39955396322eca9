// Package screen is what people in the room see of the agent: the PC's name, its state and how far it is, in characters that can be
// read from three metres, and one stable line on the serial console for each change of state.
//
// What is shown is a pure function of a State; a Painter brings it to a terminal and repaints only what changed. There is never
// a prompt on the screen, and nothing secret.
package screen

import (
	"fmt"
	"time"

	"aula/clientos/protocol"
)

// A Phase is what the PC is doing, as people see it.
type Phase string

// The phases. Their values are the markers on the serial console.
const (
	Starting   Phase = "starting"   // drivers, network
	Trouble    Phase = "trouble"    // something that a person can cure keeps the PC from its server
	Connecting Phase = "connecting" // the server does not answer
	Denied     Phase = "denied"     // the server refuses this PC
	Pending    Phase = "pending"    // waits for the operator to accept it
	Ready      Phase = "ready"      // waits for an instruction
	Working    Phase = "working"
	Done       Phase = "done"
	Failed     Phase = "failed"
	Cancelled  Phase = "cancelled"
	Restarting Phase = "restarting"
)

// A State is all that the screen shows.
type State struct {
	Phase     Phase
	Computer  string // the PC's name, empty until the server told it
	Classroom string
	Code      string // pairing code, while Pending

	Kind   string // of the instruction: protocol.RestoreImage ...
	Image  string
	Target string // which disk and partition, for people
	Stage  string // of protocol
	Bytes  int64
	Total  int64 // 0 when not known
	Rate   int64 // byte/s
	Proven int64 // bytes read back and found equal, when Done

	// Problem and Advice say what is wrong and what to do: of a failed instruction, of the boot, or of the connection, which may be
	// lost while work goes on.
	Problem string
	Advice  string
	Step    string // what is being done while Starting

	Server  string // HOST:PORT
	Address string // of this PC
	MAC     string
	Version string
}

// bytesText prints a number of bytes as people say it.
func bytesText(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d bytes", n)
	}
	value, suffix := float64(n)/unit, 0
	for value >= unit && suffix < 3 {
		value /= unit
		suffix++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGT"[suffix])
}

// remaining estimates the rest of a stage, to the second below a minute.
func (s State) remaining() string {
	if s.Rate <= 0 || s.Total <= s.Bytes {
		return ""
	}
	rest := time.Duration(float64(s.Total-s.Bytes) / float64(s.Rate) * float64(time.Second))
	switch {
	case rest < time.Minute:
		return fmt.Sprintf("%d s left", int(rest.Seconds())+1)
	case rest < time.Hour:
		return fmt.Sprintf("%d min left", int(rest.Minutes())+1)
	default:
		return fmt.Sprintf("%d h %02d min left", int(rest.Hours()), int(rest.Minutes())%60)
	}
}

// percent returns how far the stage is, from 0 to 100, or false when that is not known.
func (s State) percent() (int, bool) {
	if s.Total <= 0 {
		return 0, false
	}
	return int(min(max(float64(s.Bytes)*100/float64(s.Total), 0), 100)), true
}

// title says which PC this is.
func (s State) title() string {
	if s.Phase == Pending {
		return "New PC"
	}
	return s.Computer
}

// headline is the one word or two to be read from afar.
func (s State) headline() string {
	switch s.Phase {
	case Starting:
		return "Starting"
	case Trouble:
		return "Look here"
	case Connecting:
		return "No server"
	case Denied:
		return "Refused"
	case Pending:
		return s.Code
	case Ready:
		return "Ready"
	case Working:
		word := stageWord(s.Stage)
		if p, ok := s.percent(); ok {
			return fmt.Sprintf("%s %d%%", word, p)
		}
		return word
	case Done:
		return "Done"
	case Failed:
		return "Failed"
	case Cancelled:
		return "Cancelled"
	case Restarting:
		if s.Kind == protocol.PowerOff {
			return "Off"
		}
		return "Restart"
	}
	return string(s.Phase)
}

func stageWord(stage string) string {
	switch stage {
	case protocol.StagePreflight:
		return "Check"
	case protocol.StagePartitioning:
		return "Disk"
	case protocol.StageReading:
		return "Read"
	case protocol.StagePublishing:
		return "Publish"
	case protocol.StageWriting:
		return "Write"
	case protocol.StageVerifying:
		return "Verify"
	case protocol.StageFinishing:
		return "Finish"
	case protocol.StageWaiting:
		return "Wait"
	case protocol.StageCaching:
		return "Fetch"
	case protocol.StageFormatting:
		return "Format"
	case protocol.StageConfiguring:
		return "Set up"
	case protocol.StageSharing:
		return "Share"
	}
	return "Work"
}

func stageText(stage string) string {
	switch stage {
	case protocol.StagePreflight:
		return "checking the disk, nothing is written yet"
	case protocol.StagePartitioning:
		return "writing the partition table"
	case protocol.StageReading:
		return "reading the partition and sending it to the server"
	case protocol.StagePublishing:
		return "the server checks and publishes the image"
	case protocol.StageWriting:
		return "writing the partition"
	case protocol.StageVerifying:
		return "reading the partition back and comparing it with the image"
	case protocol.StageFinishing:
		return "finishing"
	case protocol.StageWaiting:
		return "waiting for the multicast session to begin"
	case protocol.StageCaching:
		return "bringing the image into the cache"
	case protocol.StageFormatting:
		return "making filesystems"
	case protocol.StageConfiguring:
		return "telling the system its name and how it starts"
	case protocol.StageSharing:
		return "complete; giving the image to other computers"
	}
	return stage
}

func kindText(kind string) string {
	switch kind {
	case protocol.CreateImage:
		return "Create image"
	case protocol.RestoreImage:
		return "Restore image"
	case protocol.UpdateCache:
		return "Update the cache with"
	case protocol.DeleteCached:
		return "Remove images from the cache"
	case protocol.PartitionDisk:
		return "Partition and format"
	case protocol.ConfigureOS:
		return "Set up the system"
	case protocol.Reboot:
		return "Restart"
	case protocol.BootDisk:
		return "Start from its own disk"
	case protocol.PowerOff:
		return "Switch off"
	}
	return kind
}
