package protocol

import "fmt"

// A Configuration is what a restored system is told of the PC that it is on now. Each of its points is tried whatever becomes of the others; one that
// fails is a warning of the report, and can be tried again on its own with ConfigureOS.
type Configuration struct {
	Extend   bool     `json:"extend,omitempty"`   // let the filesystems fill their partitions
	Hostname string   `json:"hostname,omitempty"` // the name of the PC; empty to leave it
	Boot     bool     `json:"boot,omitempty"`     // make it start: EFI boot entry and order, or the active partition
	Scripts  []Script `json:"scripts,omitempty"`  // in order
}

// Empty tells whether there is nothing to do.
func (c Configuration) Empty() bool {
	return !c.Extend && c.Hostname == "" && !c.Boot && len(c.Scripts) == 0
}

// A Script is run by the client OS's shell after a restore. It finds the restored system mounted below $AULA_ROOT, when that can be mounted, and the
// PC's name, classroom, disk, partition and device in AULA_COMPUTER, AULA_CLASSROOM, AULA_DISK, AULA_PARTITION and AULA_DEVICE.
type Script struct {
	Name    string `json:"name"`              // of the image or classroom that it belongs to
	Text    string `json:"text"`              // at most MaxScript bytes
	Seconds int    `json:"seconds,omitempty"` // it may take; 300 when 0
}

// MaxScript bounds the text of a Script.
const MaxScript = 64 << 10

const (
	maxHostname = 63                // bytes, of a label of DNS (RFC 1035, 2.3.4)
	maxScripts  = maxPartitions + 1 // one of each image and that of the classroom
)

// A ScriptResult is how a Script ended.
type ScriptResult struct {
	Name   string `json:"name"`
	Exit   int    `json:"exit"`             // status; -1 when it was killed
	Output string `json:"output,omitempty"` // the last 4 KiB of what it wrote, both streams
}

// Check refuses a Configuration that is out of proportion.
func (c Configuration) Check() error {
	if len(c.Hostname) > maxHostname || len(c.Scripts) > maxScripts {
		return fmt.Errorf("configuration: a name of %d bytes and %d scripts, more than %d and %d", len(c.Hostname), len(c.Scripts), maxHostname, maxScripts)
	}
	for _, s := range c.Scripts {
		if len(s.Text) > MaxScript || len(s.Name) > maxText || s.Seconds < 0 {
			return fmt.Errorf("configuration: script %.80q is longer than %d bytes, or may take less than nothing", s.Name, MaxScript)
		}
	}
	return nil
}
