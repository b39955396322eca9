package catalog

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

var simSeed = flag.Uint64("catalog.seed", 0, "play the one history with this seed")

// TestSimulation plays random histories of a catalog against a model in memory: after each step the catalog answers what the
// model answers, through closing and opening and through changes that are broken off.
func TestSimulation(t *testing.T) {
	t.Parallel()
	if *simSeed != 0 {
		newHistory(t, *simSeed).play(300)
		return
	}
	for seed := range uint64(20) {
		newHistory(t, seed+1).play(150)
		if t.Failed() {
			t.Fatalf("play it again with: go test ./appliance/catalog -run TestSimulation -catalog.seed=%d", seed+1)
		}
	}
}

// A history is a catalog beside its model. PC n has the address testMAC(n) and nothing else, so that its identity is not in question.
type history struct {
	t      *testing.T
	random *rand.Rand
	path   string
	c      *Catalog
	now    time.Time

	centres map[string]string // id -> name
	rooms   map[string]Classroom
	pcs     map[int]Computer // by n
	records map[string]string

	procedures map[string]string // id -> name
	schedules  map[string]Schedule
}

func newHistory(t *testing.T, seed uint64) *history {
	h := &history{
		t: t, random: rand.New(rand.NewPCG(seed, seed)), path: filepath.Join(t.TempDir(), "catalog.db"), now: t0,
		centres: map[string]string{}, rooms: map[string]Classroom{}, pcs: map[int]Computer{}, records: map[string]string{},
		procedures: map[string]string{}, schedules: map[string]Schedule{},
	}
	h.open()
	return h
}

func (h *history) open() {
	h.t.Helper()
	h.c = must(Open(h.path))(h.t)
	hurry(h.c)
}

func (h *history) close() {
	h.t.Helper()
	checkFile(h.t, h.c)
	if err := h.c.Close(); err != nil {
		h.t.Fatal(err)
	}
}

func (h *history) play(steps int) {
	for range steps {
		h.now = h.now.Add(time.Second)
		h.step()
		h.compare()
		if h.t.Failed() {
			break
		}
	}
	h.close()
}

// want checks that a refusal is the one that the model foresees; nil is success.
func (h *history) want(what string, got, want error) bool {
	h.t.Helper()
	if want == nil && got != nil || want != nil && !errors.Is(got, want) {
		h.t.Errorf("%s: got %v, want %v", what, got, want)
	}
	return got == nil
}

// pick returns a key of m, or one that is in no catalog.
func pick[V any](h *history, m map[string]V) string {
	if len(m) == 0 || h.random.IntN(10) == 0 {
		return "nope"
	}
	return slices.Sorted(maps.Keys(m))[h.random.IntN(len(m))]
}

func (h *history) step() {
	name := fmt.Sprintf("n%d", h.random.IntN(6))
	switch h.random.IntN(14) {
	case 0:
		h.addCentre(name)
	case 1:
		h.addRoom(pick(h, h.centres), name)
	case 2:
		h.removeCentre(pick(h, h.centres))
	case 3:
		h.removeRoom(pick(h, h.rooms))
	case 4, 5:
		h.observe(h.random.IntN(8))
	case 6:
		h.place(h.random.IntN(8), pick(h, h.rooms), name)
	case 7:
		h.removePC(h.random.IntN(8))
	case 8:
		h.record(name)
	case 9:
		h.putProcedure(name)
	case 10:
		h.removeProcedure(pick(h, h.procedures))
	case 11:
		h.putSchedule(name, pick(h, h.procedures), pick(h, h.rooms), h.random.IntN(8))
	case 12:
		h.run(pick(h, h.schedules))
	default:
		if h.random.IntN(2) == 0 {
			h.close()
			h.open()
		} else {
			h.breakOff()
		}
	}
}

func (h *history) addCentre(name string) {
	var want error
	for _, other := range h.centres {
		if other == name {
			want = ErrExists
		}
	}
	centre, err := h.c.AddCentre(name)
	if h.want("add centre", err, want) {
		h.centres[centre.ID] = name
	}
}

func (h *history) addRoom(centreID, name string) {
	var want error
	if h.centres[centreID] == "" {
		want = ErrNotFound
	}
	for _, other := range h.rooms {
		if other.Name == name && other.CentreID == centreID {
			want = ErrExists
		}
	}
	room, err := h.c.AddClassroom(centreID, name)
	if h.want("add classroom", err, want) {
		h.rooms[room.ID] = room
	}
}

func (h *history) removeCentre(id string) {
	var want error
	if h.centres[id] == "" {
		want = ErrNotFound
	}
	for _, room := range h.rooms {
		if room.CentreID == id {
			want = ErrInUse
		}
	}
	if h.want("remove centre", h.c.RemoveCentre(id), want) {
		delete(h.centres, id)
	}
}

func (h *history) removeRoom(id string) {
	var want error
	if _, ok := h.rooms[id]; !ok {
		want = ErrNotFound
	}
	for _, pc := range h.pcs {
		if pc.ClassroomID == id {
			want = ErrInUse
		}
	}
	if h.want("remove classroom", h.c.RemoveClassroom(id), want) {
		delete(h.rooms, id)
		h.forget(id)
	}
}

func (h *history) observe(n int) {
	got, err := h.c.Observe(testMAC(n), fmt.Sprintf("10.0.0.%d", n), board("", ""), h.now)
	if !h.want("observe", err, nil) {
		return
	}
	pc, known := h.pcs[n]
	if known && pc.ID != got.ID {
		h.t.Errorf("PC %d is %s, want %s", n, got.ID, pc.ID)
	}
	if !known {
		pc = Computer{ID: got.ID, State: Pending, FirstSeen: h.now}
	}
	pc.LastSeen = h.now
	h.pcs[n] = pc
}

// place accepts a pending PC and moves an accepted one.
func (h *history) place(n int, roomID, name string) {
	pc, known := h.pcs[n]
	if !known {
		_, err := h.c.AcceptComputer("nope", roomID, name)
		h.want("accept none", err, ErrNotFound)
		return
	}
	var want error
	if _, ok := h.rooms[roomID]; !ok {
		want = ErrNotFound
	}
	for other, o := range h.pcs {
		if other != n && o.ClassroomID == roomID && o.Name == name {
			want = ErrExists
		}
	}
	do := h.c.AcceptComputer
	if pc.State == Accepted {
		do = h.c.UpdateComputer
	}
	_, err := do(pc.ID, roomID, name)
	if h.want("place "+name, err, want) {
		pc.State, pc.ClassroomID, pc.Name = Accepted, roomID, name
		h.pcs[n] = pc
	}
}

func (h *history) removePC(n int) {
	pc, known := h.pcs[n]
	if !known {
		h.want("remove no PC", h.c.RemoveComputer("nope"), ErrNotFound)
		return
	}
	if h.want("remove PC", h.c.RemoveComputer(pc.ID), nil) {
		delete(h.pcs, n)
		h.forget(pc.ID)
	}
}

func (h *history) record(id string) {
	if h.random.IntN(3) == 0 {
		h.want("delete record", h.c.DeleteRecord(Operations, id), nil)
		delete(h.records, id)
		return
	}
	value := fmt.Sprint(h.random.IntN(100))
	h.want("put record", h.c.PutRecord(Operations, id, []byte(value)), nil)
	h.records[id] = value
}

// breakOff changes a lot in a transaction that fails at its end.
func (h *history) breakOff() {
	failed := errors.New("broken off")
	err := h.c.change(func(tx *bolt.Tx) error {
		for _, pc := range h.pcs {
			stored, err := getComputer(tx, pc.ID)
			if err != nil {
				return err
			}
			if err := deleteComputer(tx, stored); err != nil {
				return err
			}
		}
		for id := range h.schedules {
			if err := tx.Bucket(schedulesBucket).Delete([]byte(id)); err != nil {
				return err
			}
		}
		if err := putCentre(tx, Centre{ID: "ghost", Name: "ghost"}); err != nil {
			return err
		}
		return failed
	})
	h.want("broken off", err, failed)
}

func (h *history) compare() {
	h.t.Helper()
	centres := map[string]string{}
	for _, centre := range must(h.c.Centres())(h.t) {
		centres[centre.ID] = centre.Name
	}
	if !maps.Equal(centres, h.centres) {
		h.t.Errorf("centres: got %v, want %v", centres, h.centres)
	}
	rooms := map[string]Classroom{}
	for _, room := range must(h.c.Classrooms())(h.t) {
		rooms[room.ID] = room
	}
	if !maps.Equal(rooms, h.rooms) {
		h.t.Errorf("classrooms: got %v, want %v", rooms, h.rooms)
	}
	records := map[string]string{}
	err := h.c.EachRecord(Operations, func(id string, data []byte) error { records[id] = string(data); return nil })
	if err != nil || !maps.Equal(records, h.records) {
		h.t.Errorf("records: got %v, %v, want %v", records, err, h.records)
	}
	h.compareSchedules()
	if all := must(h.c.Computers())(h.t); len(all) != len(h.pcs) {
		h.t.Errorf("got %d computers, want %d", len(all), len(h.pcs))
	}
	for n, want := range h.pcs {
		got := must(h.c.ComputerByMAC(testMAC(n)))(h.t)
		if got.ID != want.ID || got.State != want.State || got.ClassroomID != want.ClassroomID || got.Name != want.Name ||
			!got.FirstSeen.Equal(want.FirstSeen) || !got.LastSeen.Equal(want.LastSeen) {
			h.t.Errorf("PC %d: got %+v, want %+v", n, got, want)
		}
	}
}
