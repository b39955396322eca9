// Package deployment carries out an instruction on a PC, whatever its kind: it decides in which order cache, fetch, clone and system do their parts,
// and which way is taken when one is closed.
//
// It moves no bytes of its own, and guarantees what its parts do: nothing is written to a disk before every check has passed, a restore is proved
// by reading the disk, an image in the cache by reading the cache, if not now then within the last week. What was done otherwise than asked is in the notes of the result.
package deployment

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"

	"aula/clientos/cache"
	"aula/clientos/clone"
	"aula/clientos/disk"
	"aula/clientos/fetch"
	"aula/clientos/protocol"
	"aula/clientos/system"
)

// An Env is what Run works with.
type Env struct {
	Server fetch.Server
	Disks  disk.System
	Cache  *cache.Cache
	// Folder is where restored systems are mounted while they are configured, each in a folder below it.
	Folder string
	// Firmware is the folder of the firmware's EFI variables; empty when there are none, or they must not be touched.
	Firmware  string
	Interface string // NIC for multicast; empty: every one that is up
	Log       *slog.Logger
}

// Progress is how far an instruction has come. Bytes and Total are those of the stage, as in protocol.Report.
type Progress struct {
	Stage string
	Bytes int64
	Total int64 // 0 when not known
	Dirty bool  // something has been, or is about to be, written to a disk, apart from the cache
	Slow  string
	Notes []string
}

// A Result is what a finished instruction can show.
type Result struct {
	// Verified is how many bytes were read back and found equal: of the disk, or, of UpdateCache, of the files in the cache, now or at the time that a
	// note tells.
	Verified int64
	Notes    []string
	Warnings []protocol.Failure
	Scripts  []protocol.ScriptResult
}

// Run carries out in, and calls progress from one goroutine at a time, whenever the stage changes and often within one; progress must not block.
// Cancelling ctx stops the work at the next safe point.
//
// The error is a *protocol.Failure, or, when ctx ended first, wraps context.Cause(ctx). One before Progress.Dirty was set has written nothing but to
// the cache.
func Run(ctx context.Context, env Env, in protocol.Instruct, progress func(Progress)) (Result, error) {
	w := &work{Env: env, in: in, report: progress}
	w.stage(protocol.StagePreflight, 0)
	if err := in.Check(); err != nil {
		return Result{}, w.failed(protocol.ErrFormat, err.Error(), "start the operation again; if this comes back, update Aula")
	}
	err := w.carryOut(ctx)
	if err == nil {
		w.result.Notes = w.now.Notes
		return w.result, nil
	}
	if ctx.Err() != nil {
		return Result{}, fmt.Errorf("stopped while %s: %w", w.at(), context.Cause(ctx))
	}
	return Result{}, w.explain(err)
}

// A work is one instruction on its way.
type work struct {
	Env
	in     protocol.Instruct
	report func(Progress)
	result Result

	mu  sync.Mutex // fetch and clone report from goroutines of their own
	now Progress
}

func (w *work) carryOut(ctx context.Context) error {
	switch w.in.Kind {
	case protocol.CreateImage:
		_, err := clone.Run(ctx, w.clone(w.Server, nil), w.in, w.cloning)
		return err
	case protocol.RestoreImage:
		return w.restore(ctx)
	case protocol.UpdateCache:
		return w.updateCache(ctx)
	case protocol.DeleteCached:
		return w.deleteCached(ctx)
	case protocol.PartitionDisk:
		return w.partition(ctx)
	case protocol.ConfigureOS:
		w.configure(ctx)
		return ctx.Err()
	}
	return w.failed(protocol.ErrFormat, w.in.Kind+" is not for the agent to carry out", "this is a mistake in Aula: report it")
}

// clone is what clone works with; images come from server, or by delivery.
func (w *work) clone(server clone.Server, delivery clone.Delivery) clone.Env {
	_, local := server.(cached)
	return clone.Env{
		Server: server, Local: local, Disks: w.Disks, Log: w.Log, Delivery: delivery,
		Boots: func(ctx context.Context, d disk.Disk) ([]disk.BootEntry, error) {
			return system.ReadBoots(ctx, w.Firmware, d)
		},
	}
}

// cloning passes clone's progress on.
func (w *work) cloning(p clone.Progress) {
	w.change(func(now *Progress) {
		now.Stage, now.Bytes, now.Total, now.Slow = p.Stage, p.Bytes, p.Total, p.Slow
		now.Dirty = now.Dirty || p.Dirty
	})
}

// change reports what f has changed.
func (w *work) change(f func(now *Progress)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(&w.now)
	w.report(w.now)
}

// at is the stage that the work is at.
func (w *work) at() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now.Stage
}

// stage begins a stage.
func (w *work) stage(name string, total int64) {
	w.change(func(now *Progress) { now.Stage, now.Bytes, now.Total, now.Slow = name, 0, total, "" })
}

func (w *work) done(bytes int64) {
	w.change(func(now *Progress) { now.Bytes = bytes })
}

// dirty says that a disk is written to from here on.
func (w *work) dirty() {
	w.change(func(now *Progress) { now.Dirty = true })
}

// note tells people what is done otherwise than asked.
func (w *work) note(text string) {
	if text != "" {
		w.Log.Info("note", "instruction", w.in.ID, "text", text)
		w.change(func(now *Progress) { now.Notes = append(slices.Clip(now.Notes), text) })
	}
}

// deleteCached removes images from the cache.
func (w *work) deleteCached(ctx context.Context) error {
	open, err := w.Cache.Open(ctx)
	if err != nil {
		return err
	}
	err = open.Remove(w.in.Cached...)
	if closeErr := open.Close(); err == nil {
		err = closeErr
	}
	return err
}

// partition makes table, filesystems and cache.
func (w *work) partition(ctx context.Context) error {
	d, err := w.Disks.Find(ctx, w.in.Disk)
	if err != nil {
		return err
	}
	if _, err := w.in.Scheme.Plan(d); err != nil {
		return err
	}
	w.stage(protocol.StagePartitioning, 0)
	w.dirty()
	begin := func(doing string) {
		w.Log.Info("partitioning", "instruction", w.in.ID, "doing", doing)
		w.stage(protocol.StageFormatting, 0)
	}
	if err := disk.ApplyScheme(ctx, d, *w.in.Scheme, begin); err != nil {
		return err
	}
	if w.in.Scheme.Cache <= 0 {
		return nil
	}
	return w.Cache.Make(ctx)
}

// configure tells the restored system of its PC. What fails is a warning.
func (w *work) configure(ctx context.Context) {
	if w.in.Configuration == nil || w.in.Configuration.Empty() {
		return
	}
	w.stage(protocol.StageConfiguring, 0)
	w.dirty()
	result := system.Configure(ctx, system.Config{
		Disks: w.Disks, Folder: filepath.Join(w.Folder, "system"), Firmware: w.Firmware, Log: w.Log,
	}, w.in, func(doing string) { w.Log.Info("configuring", "instruction", w.in.ID, "doing", doing) })
	w.result.Warnings, w.result.Scripts = result.Warnings, result.Scripts
	for _, note := range result.Notes {
		w.note(note)
	}
}
