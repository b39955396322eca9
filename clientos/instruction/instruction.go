// Package instruction is the language in which PCs are told what to do, with OpenGnsys' words and arguments:
//
//	deployImage REPO windows11 1 2 MULTICAST 9000:full-duplex:239.194.17.36:90M:20:60
//
// It parses and writes programs of such statements, and refuses what is none with the line, the column and what was expected there. It knows nothing
// of the PCs, nor whether an image exists. docs/instructions.md has the grammar.
package instruction

import (
	"strings"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// A Program is what is to be done on each PC, in order; a PC goes on to the next statement when it is done with the one before.
type Program struct {
	Statements []Statement
}

// The words that begin a statement.
const (
	CreateImage       = "createImage"
	CreateDiskImage   = "createDiskImage" // of all partitions of a disk, as one set
	RestoreImage      = "restoreImage"
	RestoreDiskImage  = "restoreDiskImage"
	DeployImage       = "deployImage"
	DeployDiskImage   = "deployDiskImage"
	UpdateCache       = "updateCache"
	DeleteCachedImage = "deleteCachedImage"
	PartitionDisk     = "partitionDisk"
	FormatPartition   = "formatPartition"
	InitCache         = "initCache"
	ConfigureOS       = "configureOs"
	WakeUp            = "wakeUp"
	Reboot            = "reboot"
	BootOS            = "bootOs"
	PowerOff          = "poweroff"
)

// A Statement is one thing to do. Only the fields that its word takes are set.
type Statement struct {
	Word   string `json:"word"`
	Line   int    `json:"line,omitempty"` // where it is in the text, from 1
	Column int    `json:"column,omitempty"`

	Disk      int `json:"disk,omitempty"`
	Partition int `json:"partition,omitempty"`

	Repository string            `json:"repository,omitempty"` // by its name, when it is not the one that "REPO" means
	Image      string            `json:"image,omitempty"`      // or the name of a set
	Revision   int               `json:"revision,omitempty"`   // 0: the current one
	Delivery   protocol.Delivery `json:"delivery,omitzero"`    // of images that come to the PC
	// Layout applies the layout of the image's disk to the whole disk first.
	Layout bool `json:"layout,omitempty"`
	// Grow is the partition of a disk image that takes what a larger disk has more; 0: the last that can.
	Grow    int `json:"grow,omitempty"`
	SetDisk int `json:"setDisk,omitempty"` // of a set of the images of several disks
	// Plain leaves the restored system as it is in the image: no larger filesystem, no name, no boot entry, no scripts.
	Plain bool `json:"plain,omitempty"`

	Compressor string `json:"compressor,omitempty"` // CreateImage
	Level      int    `json:"level,omitempty"`

	Scheme *disk.Scheme `json:"scheme,omitempty"` // PartitionDisk, FormatPartition, InitCache
	Images []string     `json:"images,omitempty"` // DeleteCachedImage
	// Seconds is for how long WakeUp waits for the PCs that it has woken.
	Seconds int `json:"seconds,omitempty"`
}

// String writes the program as Parse reads it, a statement on a line.
func (p Program) String() string {
	var b strings.Builder
	for _, s := range p.Statements {
		b.WriteString(s.String())
		b.WriteByte('\n')
	}
	return b.String()
}

// String writes the statement as Parse reads it, without what has no meaning together: a fallback of what needs no cache, parameters of UNICAST. Whoever
// fills a Statement has it checked by parsing what this writes.
func (s Statement) String() string {
	w := wordOf(s.Word)
	if w == nil {
		return quote(s.Word, false)
	}
	return strings.Join(append([]string{w.name}, w.write(s, w.options)...), " ")
}
