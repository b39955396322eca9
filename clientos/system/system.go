// Package system tells a restored operating system of the PC that it is on now: its name, the size of its partition, how the firmware finds it, and
// what scripts of the school say. docs/after-restore.md says what is changed, file by file.
//
// It writes to the partitions that the instruction names and to no other, and in a restored filesystem to the named files alone, whatever symbolic
// links are in it. What scripts write is the school's affair.
//
// It is not about what proves a restore, which comes before (clientos/clone).
package system

import (
	"context"
	"encoding/json"
	"fmt"
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
	j := &job{cfg: cfg, in: in, progress: progress, log: cfg.Log}
	if j.log == nil {
		j.log = slog.New(slog.DiscardHandler)
	}
	if in.Configuration == nil || in.Configuration.Empty() {
		return j.result
	}
	if err := j.find(ctx); err != nil {
		j.warn(protocol.ErrNotFound, "the restored system could not be configured", err)
		return j.result
	}
	want := in.Configuration
	for _, point := range []struct {
		wanted bool
		do     func(context.Context)
	}{
		{want.Extend, j.extend},
		{want.Hostname != "", j.name},
		{want.Boot, j.boot},
		{len(want.Scripts) > 0, j.scripts},
	} {
		if point.wanted && ctx.Err() == nil {
			point.do(ctx)
		}
	}
	return j.result
}

// A job is one call of Configure.
type job struct {
	cfg      Config
	in       protocol.Instruct
	log      *slog.Logger
	progress func(string)

	disk    disk.Disk
	targets []disk.Partition // those that were restored, and have something to configure
	result  Result
}

// find looks up the disk, and on it the partitions of the instruction.
func (j *job) find(ctx context.Context) error {
	d, err := j.cfg.Disks.Find(ctx, j.in.Disk)
	if err != nil {
		return err
	}
	j.disk = d
	for _, part := range j.in.Parts {
		if part.Partition == 0 {
			j.targets = nil
			for _, p := range d.Partitions {
				if !p.Extended() {
					j.targets = append(j.targets, p)
				}
			}
			return nil
		}
		p, ok := d.Partition(part.Partition)
		if !ok || p.Extended() {
			return fmt.Errorf("disk %d has no partition %d", d.Number, part.Partition)
		}
		j.targets = append(j.targets, p)
	}
	return nil
}

func (j *job) doing(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	j.log.Info("configuring", "doing", text)
	if j.progress != nil {
		j.progress(text)
	}
}

func (j *job) note(format string, args ...any) {
	j.result.Notes = append(j.result.Notes, fmt.Sprintf(format, args...))
}

// extend lets each filesystem fill its partition.
func (j *job) extend(ctx context.Context) {
	for _, p := range j.targets {
		if ctx.Err() != nil {
			return
		}
		j.doing("extending the filesystem of partition %d", p.Number)
		grown, err := disk.Extend(ctx, j.disk, p.Number)
		if err != nil && ctx.Err() == nil {
			j.warn(protocol.ErrExtend, fmt.Sprintf("the filesystem of partition %d does not fill it", p.Number), err)
			continue
		}
		if grown {
			j.log.Info("filesystem extended", "partition", p.Number)
		}
	}
}

// layout is that of the instruction, nil without one.
func (j *job) layout() *disk.Layout {
	if len(j.in.Layout) == 0 {
		return nil
	}
	var l disk.Layout
	if err := json.Unmarshal(j.in.Layout, &l); err != nil {
		return nil // its partitions were made of it, so this is a layout without anything about booting
	}
	return &l
}
