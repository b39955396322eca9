// Package system tells a restored operating system of the PC that it is on now: its name, the size of its partition, how the firmware finds it, and
// what scripts of the school say.
//
// It is not about what proves a restore, which comes before (clientos/clone).
package system

import (
	"context"
	"log/slog"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// A Config gives Configure what it works with.
type Config struct {
	Disks  disk.System
	Folder string // where restored systems are mounted while they are changed
	// Firmware is the folder of EFI's variables (efivarfs); empty: the PC has none, or it must not be touched.
	Firmware string
	Log      *slog.Logger
}

// A Result is what became of each point of a Configuration.
type Result struct {
	Warnings []protocol.Failure // of the points that failed
	Scripts  []protocol.ScriptResult
	Notes    []string // what people should know that is no warning
}

// Configure does what in.Configuration asks on the partitions of in.Parts, each point whatever became of the others. progress is told what it is
// doing, for people. It returns early, with what it has, when ctx ends.
func Configure(ctx context.Context, cfg Config, in protocol.Instruct, progress func(doing string)) Result {
	return Result{}
}
