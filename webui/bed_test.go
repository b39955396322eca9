package webui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"aula/appliance/boot"
	"aula/appliance/catalog"
	"aula/appliance/incorporation"
	"aula/appliance/operation"
	"aula/appliance/roster"
	"aula/appliance/upkeep"
	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/imagestore"
	"aula/imagestore/format/formattest"
	"aula/imagestore/multicast"
)

// TestMain fixes the time zone, in which pages write times.
func TestMain(m *testing.M) {
	time.Local = time.UTC
	os.Exit(m.Run())
}

const (
	setupCode = "WXYZ-2345"
	password  = "correct horse"
)

// A bed is a Server over a real catalog, repository and operation manager, with PCs that do what a test says.
type bed struct {
	t       *testing.T
	clock   *clock
	cat     *catalog.Catalog
	images  *imagestore.Repository // the first one
	ops     *operation.Manager
	upkeep  *upkeep.Service
	pcs     *fakePCs
	swarms  *fakeSwarms
	rooms   *fakeSessions
	booted  *fakeBoots
	network *fakeNetwork
	server  *Server
	log     *bytes.Buffer
	socket  string   // of the last local()
	names   []string // pairs of random ids and what they are called in golden files
}

// fakeSessions is a multicast session for whoever asks, as far as a test says.
type fakeSessions struct {
	mu     sync.Mutex
	status *multicast.SenderStatus
	starts int
}

func (f *fakeSessions) say(status *multicast.SenderStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.status = status
}

func (f *fakeSessions) Status(string) (multicast.SenderStatus, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.status == nil {
		return multicast.SenderStatus{}, false
	}
	return *f.status, true
}

func (f *fakeSessions) Start(string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starts++
}

// A clock stands still until a test moves it.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// fakePCs are the PCs that are connected.
type fakePCs struct {
	mu        sync.Mutex
	sessions  map[string]roster.Session
	instructs map[string]protocol.Instruct // the last one of each PC
	refreshed map[string]int
	sequence  uint64
}

var errOff = errors.New("not connected")

func (f *fakePCs) Instruct(id string, in protocol.Instruct) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, on := f.sessions[id]; !on {
		return errOff
	}
	f.instructs[id] = in
	return in.Check()
}

func (f *fakePCs) Cancel(string, string) error { return nil }
func (f *fakePCs) Settle(string, string) error { return nil }

func (f *fakePCs) Connected(id string) bool {
	_, on := f.Session(id)
	return on
}

func (f *fakePCs) Session(id string) (roster.Session, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, on := f.sessions[id]
	return s, on
}

func (f *fakePCs) Sessions() []roster.Session {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []roster.Session
	for _, s := range f.sessions {
		all = append(all, s)
	}
	return all
}

func (f *fakePCs) Refresh(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refreshed[id]++
}

func newBed(t *testing.T) *bed {
	t.Helper()
	b := &bed{
		t: t, clock: &clock{now: time.Date(2031, 3, 4, 9, 30, 0, 0, time.UTC)}, log: &bytes.Buffer{},
		swarms: &fakeSwarms{}, rooms: &fakeSessions{}, booted: &fakeBoots{boots: map[string][]boot.Boot{}}, network: &fakeNetwork{status: quietNetwork()},
		pcs: &fakePCs{sessions: map[string]roster.Session{}, instructs: map[string]protocol.Instruct{}, refreshed: map[string]int{}},
	}
	log := slog.New(slog.NewTextHandler(&lockedWriter{w: b.log}, nil))
	var err error
	if b.cat, err = catalog.Open(filepath.Join(t.TempDir(), "catalog.db")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.cat.Close() })
	changed := func(string) { b.server.ImagesChanged() }
	options := imagestore.Options{Keep: 2, Trash: 30 * 24 * time.Hour, Settle: time.Hour, Log: log, Now: b.clock.Now, Changed: changed}
	first := options
	first.Name, first.Announce = "main", "http://10.77.0.1:6969/announce"
	if b.images, err = imagestore.Open(filepath.Join(t.TempDir(), "images"), first); err != nil {
		t.Fatal(err)
	}
	b.names = append(b.names, b.images.Dir(), "/var/lib/aula/images")
	library := imagestore.NewLibrary(b.images)
	t.Cleanup(func() { library.Close() })
	uploads, err := incorporation.OpenUploads(filepath.Join(b.images.Dir(), ".uploads"), b.images.Free, b.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	b.upkeep, err = upkeep.New(upkeep.Config{
		Library: library, Catalog: b.cat, Uploads: uploads, Options: options, Log: log, Now: b.clock.Now,
		Changed: func(id string) { b.server.TaskChanged(id) },
	})
	if err != nil {
		t.Fatal(err)
	}
	b.ops, err = operation.New(operation.Config{
		Agents: b.pcs, Store: b.cat, Computers: b.cat, Images: library, Log: log, Now: b.clock.Now,
		Changed: func(id string) { b.server.OperationChanged(id) },
	})
	if err != nil {
		t.Fatal(err)
	}
	b.server, err = New(Config{
		Catalog: b.cat, Roster: b.pcs, Operations: b.ops, Images: library, Upkeep: b.upkeep, Uploads: uploads, Torrents: b.swarms, Sessions: b.rooms,
		Boots: b.booted, Network: b.network, Version: "0.1-test", SetupCode: setupCode, Log: log, Now: b.clock.Now,
		RepositoryDefaults: catalog.Repository{Keep: 2, TrashDays: 30, ReserveMiB: 1024},
	})
	if err != nil {
		t.Fatal(err)
	}
	b.server.assets.bare = false // golden pages are those of a whole build
	t.Cleanup(b.cat.Watch(b.server.CatalogChanged))
	b.run(b.server.Run)
	b.run(b.ops.Run)
	b.run(b.upkeep.Run)
	return b
}

// run runs a service until the test ends.
func (b *bed) run(service func(context.Context) error) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- service(ctx) }()
	b.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			b.t.Errorf("service ended with %v", err)
		}
	})
}

// lockedWriter lets a test read the log while others write.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// hall makes a centre with a classroom.
func (b *bed) hall(centre, room string) catalog.Classroom {
	b.t.Helper()
	c, err := b.cat.AddCentre(centre)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.room(c.ID, room)
}

func (b *bed) room(centreID, room string) catalog.Classroom {
	b.t.Helper()
	r, err := b.cat.AddClassroom(centreID, room)
	if err != nil {
		b.t.Fatal(err)
	}
	b.names = append(b.names, r.ID, "ID-"+room, centreID, "ID-centre")
	return r
}

const gigabyte = 1_000_000_000

// inventory is that of an ordinary PC with Windows and Linux.
func inventory(n int) protocol.Inventory {
	return protocol.Inventory{
		Firmware: "uefi", Vendor: "Dell Inc.", Product: "OptiPlex 7010", Serial: fmt.Sprintf("7GX%04d", n), UUID: fmt.Sprintf("4c4c4544-0000-1000-8000-%012d", n),
		Board: "0WR7PY", CPU: "Intel Core i5-13500", Cores: 14, Memory: 16 << 30,
		NICs: []protocol.NIC{{Name: "eno1", MAC: mac(n), Driver: "e1000e", Mbit: 1000, Link: true}},
		Disks: []disk.Disk{{
			Number: 1, Path: "/dev/nvme0n1", Model: "Samsung PM9A1", Serial: fmt.Sprintf("S6B%05d", n), Bytes: 512 * gigabyte, SectorSize: 512, Table: "gpt",
			TableID: fmt.Sprintf("6A1B0C2D-0000-4000-8000-%012d", n),
			Partitions: []disk.Partition{
				{Number: 1, Path: "/dev/nvme0n1p1", UUID: fmt.Sprintf("6A1B0C2D-0001-4000-8000-%012d", n), Start: 1 << 20, Bytes: gigabyte / 2,
					Type: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", Filesystem: "FAT32", Label: "ESP", Used: 60_000_000},
				{Number: 2, Path: "/dev/nvme0n1p2", UUID: fmt.Sprintf("6A1B0C2D-0002-4000-8000-%012d", n), Start: gigabyte, Bytes: 250 * gigabyte,
					Type: "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7", Filesystem: "NTFS", Label: "Windows", Used: 61 * gigabyte},
				{Number: 3, Path: "/dev/nvme0n1p3", UUID: fmt.Sprintf("6A1B0C2D-0003-4000-8000-%012d", n), Start: 252 * gigabyte, Bytes: 16 * gigabyte,
					Type: "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F", Filesystem: "LINUX-SWAP", Used: -1},
				{Number: 4, Path: "/dev/nvme0n1p4", UUID: fmt.Sprintf("6A1B0C2D-0004-4000-8000-%012d", n), Start: 269 * gigabyte, Bytes: 120 * gigabyte,
					Type: "0FC63DAF-8483-4772-8E79-3D69D8477DE4", Filesystem: "EXT4", Label: "linux", Used: 24 * gigabyte},
			},
		}},
	}
}

func mac(n int) string { return fmt.Sprintf("d8:9e:f3:00:%02x:%02x", n/256, n%256) }

// arrive brings a PC that nobody knows, connected and pending.
func (b *bed) arrive(n int) catalog.Computer {
	b.t.Helper()
	return b.arriveWith(n, inventory(n))
}

func (b *bed) arriveWith(n int, inv protocol.Inventory) catalog.Computer {
	b.t.Helper()
	address := netip.AddrFrom4([4]byte{10, 77, 0, byte(100 + n)})
	pc, err := b.cat.Observe(inv.NICs[0].MAC, address.String(), inv, b.clock.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	b.names = append(b.names, pc.ID, fmt.Sprintf("ID-PC%d", n))
	b.pcs.mu.Lock()
	b.pcs.sessions[pc.ID] = roster.Session{ComputerID: pc.ID, Address: address, Since: b.clock.Now(), LastHeard: b.clock.Now(),
		Version: "0.1-test", State: pc.State, Code: fmt.Sprintf("K7M%03d", n)}
	b.pcs.mu.Unlock()
	b.server.ComputerChanged(pc.ID)
	return pc
}

// enrol brings a PC and accepts it.
func (b *bed) enrol(room catalog.Classroom, n int) catalog.Computer {
	b.t.Helper()
	pc, err := b.cat.AcceptComputer(b.arrive(n).ID, room.ID, fmt.Sprintf("pc-%02d", n))
	if err != nil {
		b.t.Fatal(err)
	}
	return pc
}

// someone is any PC that is accepted.
func (b *bed) someone() string {
	b.t.Helper()
	all, err := b.cat.Computers()
	b.check(err)
	for _, pc := range all {
		if pc.State == catalog.Accepted {
			return pc.ID
		}
	}
	b.t.Fatal("no PC is accepted")
	return ""
}

// leave takes a PC away.
func (b *bed) leave(pc catalog.Computer) {
	b.pcs.mu.Lock()
	delete(b.pcs.sessions, pc.ID)
	b.pcs.mu.Unlock()
	b.ops.Disconnected(pc.ID)
	b.server.ComputerChanged(pc.ID)
}

// publish puts an image into the repository, as if captured from partition 2 of disk 1 of a PC.
func (b *bed) publish(name string, from catalog.Computer, layout bool) imagestore.Image {
	b.t.Helper()
	st, err := b.images.Stage(name, imagestore.Source{Computer: from.Name, ComputerID: from.ID, Disk: 1, Partition: 2, SectorSize: 512})
	if err != nil {
		b.t.Fatal(err)
	}
	plain := formattest.Partclone{Filesystem: "NTFS", Blocks: 64}.Encode()
	sum := blake3.Sum256(plain)
	if _, err := st.Write(plain); err != nil {
		b.t.Fatal(err)
	}
	if layout {
		data, err := json.Marshal(testLayout)
		if err != nil {
			b.t.Fatal(err)
		}
		if err := st.SetLayout(data); err != nil {
			b.t.Fatal(err)
		}
	}
	img, err := st.Publish(b.t.Context(), fmt.Sprintf("%x", sum), nil)
	if err != nil {
		b.t.Fatal(err)
	}
	b.server.ImagesChanged()
	return img
}

// testLayout is a small disk with one partition of a megabyte, number 2.
var testLayout = disk.Layout{
	Version: 1, Table: "dos", SectorSize: 512, DiskBytes: 8 << 20,
	Dump:     "label: dos\nlabel-id: 0x12345678\nunit: sectors\n\n/dev/sda2 : start=2048, size=2048, type=7, bootable\n",
	BootCode: make([]byte, 446),
}

// report is what a PC's agent says of the instruction it has.
func (b *bed) report(pc catalog.Computer, r protocol.Report) {
	b.t.Helper()
	in := b.instruction(pc)
	b.pcs.mu.Lock()
	b.pcs.sequence++
	r.ID, r.Seq = in.ID, b.pcs.sequence
	b.pcs.mu.Unlock()
	if r.State == "" {
		r.State = protocol.Running
	}
	b.ops.Report(pc.ID, r)
}

// instruction waits until the PC was sent one.
func (b *bed) instruction(pc catalog.Computer) protocol.Instruct {
	b.t.Helper()
	var in protocol.Instruct
	b.eventually("an instruction for "+pc.Name, func() bool {
		b.pcs.mu.Lock()
		defer b.pcs.mu.Unlock()
		in = b.pcs.instructs[pc.ID]
		return in.ID != ""
	})
	return in
}

// eventually waits for what another goroutine does soon.
func (b *bed) eventually(what string, ok func() bool) {
	b.t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	every := time.NewTicker(5 * time.Millisecond)
	defer every.Stop()
	for !ok() {
		select {
		case <-every.C:
		case <-deadline.C:
			b.t.Fatalf("waited in vain for %s; log:\n%s", what, b.log)
		}
	}
}
