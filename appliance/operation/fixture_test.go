package operation

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"aula/appliance/catalog"
	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/imagestore"
	"aula/imagestore/format"
)

const gb = 1_000_000_000

// A memStore is a Store that survives what a test does to its Manager.
type memStore struct {
	mu      sync.Mutex
	records map[string][]byte
	full    bool // every write fails
	writes  int
}

var errFull = errors.New("no space left on device")

func (s *memStore) PutRecords(kind catalog.RecordKind, data map[string][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return errFull
	}
	s.writes++
	for id, value := range data {
		s.records[id] = slices.Clone(value)
	}
	return nil
}

func (s *memStore) DeleteRecords(kind catalog.RecordKind, ids ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full {
		return errFull
	}
	for _, id := range ids {
		delete(s.records, id)
	}
	return nil
}

func (s *memStore) EachRecord(kind catalog.RecordKind, f func(id string, data []byte) error) error {
	s.mu.Lock()
	records := maps.Clone(s.records)
	s.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(records)) {
		if err := f(id, records[id]); err != nil {
			return err
		}
	}
	return nil
}

// Agents that write down what they are told.
type fakeAgents struct {
	mu      sync.Mutex
	offline map[string]bool
	told    []string // "instruct pc1", "cancel pc1" ...
	sent    map[string]protocol.Instruct
	hook    func(computerID string) // called by Instruct
}

func (a *fakeAgents) note(what, computerID string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.offline[computerID] {
		return errors.New("not connected")
	}
	a.told = append(a.told, what+" "+computerID)
	return nil
}

func (a *fakeAgents) Instruct(computerID string, in protocol.Instruct) error {
	if a.hook != nil {
		a.hook(computerID)
	}
	err := a.note("instruct", computerID)
	if err == nil {
		err = in.Check()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.sent[computerID] = in
	return err
}

func (a *fakeAgents) Cancel(computerID, _ string) error { return a.note("cancel", computerID) }
func (a *fakeAgents) Settle(computerID, _ string) error { return a.note("settle", computerID) }

func (a *fakeAgents) Connected(computerID string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.offline[computerID]
}

// heard returns what was told since it was last asked.
func (a *fakeAgents) heard() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	told := a.told
	a.told = nil
	slices.Sort(told)
	return told
}

type fakeComputers struct {
	mu       sync.Mutex
	all      map[string]catalog.Computer
	nextBoot map[string]string
}

func (c *fakeComputers) Computer(id string) (catalog.Computer, error) {
	pc, ok := c.all[id]
	if !ok {
		return catalog.Computer{}, fmt.Errorf("computer %s: %w", id, catalog.ErrNotFound)
	}
	return pc, nil
}

func (c *fakeComputers) SetNextBoot(id, target string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nextBoot[id] = target
	return nil
}

// A repository with an image of 40 GB for a partition of 60 GB, and its layout, and with more that a test puts into it.
type fakeImages struct {
	mu        sync.Mutex
	image     imagestore.Image
	layout    []byte
	more      []imagestore.Image // other images and older revisions, which come before newer ones
	moreHave  []byte             // the layout beside each of them that has one
	damaged   map[string]bool    // by name and revision: "lab-p1 2"
	standings []imagestore.Standing
	free      int64
	held      []string
}

func (r *fakeImages) all() []imagestore.Image { return append(slices.Clone(r.more), r.image) }

func (r *fakeImages) Image(repository, name string) (imagestore.Image, error) {
	for _, img := range slices.Backward(r.all()) {
		if img.Name == name && (repository == "" || img.Repository == repository) {
			return img, nil
		}
	}
	return imagestore.Image{}, fmt.Errorf("image %s: %w", name, imagestore.ErrNotFound)
}

func (r *fakeImages) Revision(repository, name string, revision int) (imagestore.Image, error) {
	for _, img := range r.all() {
		if img.Name == name && img.Revision == revision && (repository == "" || img.Repository == repository) {
			return img, nil
		}
	}
	return imagestore.Image{}, fmt.Errorf("revision %d of image %s: %w", revision, name, imagestore.ErrNotFound)
}

func (r *fakeImages) Set(repository, set string) ([]imagestore.Image, error) {
	if repository != "" && repository != "main" {
		return nil, fmt.Errorf("%w: %q", imagestore.ErrNoRepository, repository)
	}
	found := slices.DeleteFunc(r.all(), func(img imagestore.Image) bool { return img.Source.Set != set })
	if len(found) == 0 {
		return nil, fmt.Errorf("set %s: %w", set, imagestore.ErrNotFound)
	}
	return found, nil
}

func (r *fakeImages) Standings() []imagestore.Standing { return r.standings }

func (r *fakeImages) Layout(repository, name string, revision int) ([]byte, error) {
	img, err := r.Revision(repository, name, revision)
	switch {
	case err != nil:
		return nil, err
	case name == r.image.Name && r.layout != nil:
		return r.layout, nil
	case name != r.image.Name && img.HasLayout:
		return r.moreHave, nil
	}
	return nil, imagestore.ErrNotFound
}

func (r *fakeImages) Free(string) (int64, error) { return r.free, nil }

func (r *fakeImages) Hold(repository, name string, revision int, holder string) (func(), error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.Revision(repository, name, revision); err != nil {
		return nil, err
	}
	if r.damaged[fmt.Sprintf("%s %d", name, revision)] {
		return nil, fmt.Errorf("%w: revision %d of %s: byte 7 differs", imagestore.ErrDamaged, revision, name)
	}
	r.held = append(r.held, holder)
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		i := slices.Index(r.held, holder)
		r.held = slices.Delete(r.held, i, i+1)
	}), nil
}

func (r *fakeImages) holders() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.held)
}

// testPC is an accepted PC with a disk of 500 GB: partition 1 of 60 GB with NTFS, partition 2 swap.
func testPC(id, name string) catalog.Computer {
	return catalog.Computer{
		ID: id, Name: name, State: catalog.Accepted,
		Inventory: protocol.Inventory{Disks: []disk.Disk{{
			Number: 1, Model: "Samsung SSD 870", Serial: "S5Y1", Bytes: 500 * gb, SectorSize: 512, Table: "gpt", TableID: "8A1F3C52-0B7D-4E69-A1C4-5D2E7F9B3A60",
			Partitions: []disk.Partition{
				{Number: 1, Start: 1 << 20, Bytes: 60 * gb, Type: "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", Filesystem: "NTFS", Label: "Windows", Used: 40 * gb},
				{Number: 2, Start: 61 * gb, Bytes: 4 * gb, Type: "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F", Filesystem: "LINUX-SWAP", Used: -1},
			},
		}}},
	}
}

func testImage() imagestore.Image {
	return imagestore.Image{
		Repository: "main", Name: "windows11", Revision: 4, FileBytes: 18 * gb,
		Info:   format.Info{Filesystem: "NTFS", UsedBytes: 40 * gb, RequiredBytes: 60 * gb},
		Source: imagestore.Source{SectorSize: 512},
	}
}

// testLayout has one partition of 60 GB and needs a little more than that.
func testLayout() disk.Layout {
	return disk.Layout{
		Version: 1, Table: "dos", SectorSize: 512, DiskBytes: 64 * gb,
		Dump: fmt.Sprintf("label: dos\nlabel-id: 0x1234abcd\ndevice: /dev/sda\nunit: sectors\nsector-size: 512\n\n"+
			"/dev/sda1 : start=2048, size=%d, type=7, bootable\n", 60*gb/512+1),
	}
}

// testSet is the set "lab" of one disk: Windows in partition 1, Linux in partition 5, which is a logical one, swap in partition 6.
func testSet() []imagestore.Image {
	of := func(name, filesystem string, partition int, used, required int64) imagestore.Image {
		return imagestore.Image{
			Repository: "main", Name: name, Revision: 2, FileBytes: used / 2, HasLayout: true,
			Info:   format.Info{Filesystem: filesystem, UsedBytes: used, RequiredBytes: required},
			Source: imagestore.Source{Set: "lab", Disk: 1, Partition: partition, SectorSize: 512},
		}
	}
	return []imagestore.Image{of("lab-p1", "NTFS", 1, 30*gb, 60*gb), of("lab-p5", "EXT4", 5, 7*gb, 20*gb)}
}

// setLayout is the layout of the disk of testSet.
func setLayout() disk.Layout {
	const windows, linux, swap = 60*gb/512 + 1, 20*gb/512 + 1, 4 * gb / 512
	return disk.Layout{
		Version: 1, Table: "dos", SectorSize: 512, DiskBytes: 100 * gb,
		Dump: fmt.Sprintf("label: dos\nlabel-id: 0x1234abcd\ndevice: /dev/sda\nunit: sectors\nsector-size: 512\n\n"+
			"/dev/sda1 : start=2048, size=%d, type=7, bootable\n/dev/sda2 : start=%d, size=%d, type=5\n"+
			"/dev/sda5 : start=%d, size=%d, type=83\n/dev/sda6 : start=%d, size=%d, type=82\n",
			windows, 4096+windows, linux+swap+8192, 6144+windows, linux, 10240+windows+linux-2048, swap),
	}
}

// testDisk is the image of a disk of 64 GB.
func testDisk() imagestore.Image {
	return imagestore.Image{
		Repository: "main", Name: "kiosk", Revision: 1, FileBytes: 9 * gb,
		Info: format.Info{Tool: format.Raw, Filesystem: format.Disk, UsedBytes: 64 * gb, RequiredBytes: 64 * gb},
	}
}

// A bench is a Manager on fakes, whose effects are carried out when the test says so.
type bench struct {
	t         *testing.T
	m         *Manager
	agents    *fakeAgents
	store     *memStore
	computers *fakeComputers
	images    *fakeImages
	clock     time.Time
	changed   int
	cfg       Config
}

func newBench(t *testing.T, edit ...func(*Config)) *bench {
	t.Helper()
	layout, err := json.Marshal(testLayout())
	if err != nil {
		t.Fatal(err)
	}
	more, err := json.Marshal(setLayout())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{
		t:      t,
		agents: &fakeAgents{offline: map[string]bool{}, sent: map[string]protocol.Instruct{}},
		store:  &memStore{records: map[string][]byte{}},
		computers: &fakeComputers{nextBoot: map[string]string{}, all: map[string]catalog.Computer{
			"pc1": testPC("pc1", "pc-01"), "pc2": testPC("pc2", "pc-02"), "pc3": testPC("pc3", "pc-03"),
		}},
		images: &fakeImages{
			image: testImage(), layout: layout, free: 100 * gb,
			more: append(testSet(), testDisk()), moreHave: more, damaged: map[string]bool{},
		},
		clock: t0,
	}
	b.cfg = Config{
		Agents: b.agents, Store: b.store, Computers: b.computers, Images: b.images,
		Changed:   func(string) { b.changed++ },
		LostAfter: lostAfter,
		Network:   netip.MustParsePrefix("172.17.36.1/24"),
		Log:       slog.New(slog.DiscardHandler),
		Now:       func() time.Time { return b.clock },
	}
	for _, e := range edit {
		e(&b.cfg)
	}
	b.restart()
	return b
}

// restart is a new Manager on what the store holds, as after kill -9.
func (b *bench) restart() {
	b.t.Helper()
	b.images.mu.Lock()
	b.images.held = nil
	b.images.mu.Unlock()
	m, err := New(b.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	b.m = m
}

// work carries out all effects, as Run would.
func (b *bench) work() {
	for {
		ids := slices.Sorted(maps.Keys(b.m.outbox.waiting))
		if len(ids) == 0 {
			return
		}
		for _, id := range ids {
			if e, ok := b.m.outbox.take(id); ok {
				b.m.carryOut(e)
			}
		}
	}
}

// passes lets time go by.
func (b *bench) passes(d time.Duration) {
	b.clock = b.clock.Add(d)
	b.m.tick()
	b.work()
}

func (b *bench) restore(ids ...string) Operation {
	b.t.Helper()
	op, err := b.m.Restore(b.t.Context(), "marta", RestoreRequest{ComputerIDs: ids, Disk: 1, Partition: 1, Image: "windows11"})
	if err != nil {
		b.t.Fatal(err)
	}
	b.work()
	return op
}

func (b *bench) capture(id, image string) Operation {
	b.t.Helper()
	op, err := b.m.Capture(b.t.Context(), "marta", CaptureRequest{ComputerID: id, Disk: 1, Partition: 1, Image: image})
	if err != nil {
		b.t.Fatal(err)
	}
	b.work()
	return op
}

// reports lets a PC report on its part of an operation.
func (b *bench) reports(op Operation, id string, r protocol.Report) {
	r.ID = instructionID(op.ID, id)
	r.State = cmp.Or(r.State, protocol.Running)
	b.m.Report(id, r)
	b.work()
}

func (b *bench) finishes(op Operation, id string) {
	b.reports(op, id, protocol.Report{Seq: 1000, State: protocol.Done, Verified: 40 * gb, Dirty: true})
}

// wantTarget checks how an operation stands on a PC.
func (b *bench) wantTarget(op Operation, id, state string) Target {
	b.t.Helper()
	got, err := b.m.Operation(op.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	i := slices.IndexFunc(got.Targets, func(t Target) bool { return t.ComputerID == id })
	if i < 0 {
		b.t.Fatalf("operation %s has no target %s", op.ID, id)
	}
	if got.Targets[i].State != state {
		b.t.Errorf("%s: got %s (%v), want %s", id, got.Targets[i].State, got.Targets[i].Failure, state)
	}
	return got.Targets[i]
}

func (b *bench) wantState(op Operation, state string) Operation {
	b.t.Helper()
	got, err := b.m.Operation(op.ID)
	if err != nil {
		b.t.Fatal(err)
	}
	if got.State != state {
		b.t.Errorf("operation: got %s, want %s", got.State, state)
	}
	if ended(got.State) != !got.Ended.IsZero() {
		b.t.Errorf("operation is %s and its end is %v", got.State, got.Ended)
	}
	return got
}

func (b *bench) wantHeard(want ...string) {
	b.t.Helper()
	if got := b.agents.heard(); !slices.Equal(got, want) {
		b.t.Errorf("agents were told %q, want %q", got, want)
	}
}
