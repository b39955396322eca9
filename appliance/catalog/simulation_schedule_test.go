package catalog

import (
	"maps"
	"reflect"
	"slices"
	"time"
)

// The part of a history that is about procedures and the schedules that run them.

func (h *history) putProcedure(name string) {
	var want error
	for _, other := range h.procedures {
		if other == name {
			want = ErrExists
		}
	}
	p, err := h.c.PutProcedure(Procedure{Name: name, Text: goodProgram}, h.now)
	if h.want("make procedure", err, want) {
		h.procedures[p.ID] = name
	}
}

func (h *history) removeProcedure(id string) {
	var want error
	if h.procedures[id] == "" {
		want = ErrNotFound
	}
	for _, s := range h.schedules {
		if s.ProcedureID == id {
			want = ErrInUse
		}
	}
	if h.want("remove procedure", h.c.RemoveProcedure(id), want) {
		delete(h.procedures, id)
	}
}

// putSchedule makes a schedule, or changes the one that has the name.
func (h *history) putSchedule(name, procedureID, roomID string, n int) {
	s := Schedule{Name: name, ProcedureID: procedureID, ClassroomIDs: []string{roomID}, Once: h.now.Add(time.Hour), Actor: "marta"}
	for _, other := range h.schedules {
		if other.Name == name {
			s.ID, s.LastRun, s.Result, s.Ran = other.ID, other.LastRun, other.Result, other.Ran
		}
	}
	pc, known := h.pcs[n]
	if known {
		s.ComputerIDs = []string{pc.ID}
	}
	_, isRoom := h.rooms[roomID]
	var want error
	switch {
	case h.procedures[procedureID] == "" || !isRoom:
		want = ErrNotFound
	case known && pc.State == Pending:
		want = ErrInvalid
	}
	stored, err := h.c.PutSchedule(s, h.now)
	if h.want("put schedule", err, want) {
		s.ID = stored.ID
		h.schedules[s.ID] = s
	}
}

func (h *history) run(id string) {
	s, ok := h.schedules[id]
	if !ok {
		h.want("run no schedule", h.c.NoteRun(id, Run{Due: h.now}, h.now), ErrNotFound)
		return
	}
	if h.random.IntN(4) == 0 {
		h.want("remove schedule", h.c.RemoveSchedule(id), nil)
		delete(h.schedules, id)
		return
	}
	h.want("note run", h.c.NoteRun(id, Run{Due: h.now, Result: "op"}, h.now.Add(time.Hour)), nil)
	s.Next, s.LastRun, s.Ran, s.Result = h.now.Add(time.Hour), h.now, h.now, "op"
	h.schedules[id] = s
}

// forget takes a room or PC out of the schedules.
func (h *history) forget(gone string) {
	is := func(id string) bool { return id == gone }
	for id, s := range h.schedules {
		s.ClassroomIDs = slices.DeleteFunc(slices.Clone(s.ClassroomIDs), is)
		s.ComputerIDs = slices.DeleteFunc(slices.Clone(s.ComputerIDs), is)
		h.schedules[id] = s
	}
}

func (h *history) compareSchedules() {
	h.t.Helper()
	procedures := map[string]string{}
	for _, p := range must(h.c.Procedures())(h.t) {
		procedures[p.ID] = p.Name
	}
	if !maps.Equal(procedures, h.procedures) {
		h.t.Errorf("procedures: got %v, want %v", procedures, h.procedures)
	}
	all := must(h.c.Schedules())(h.t)
	if len(all) != len(h.schedules) {
		h.t.Errorf("got %d schedules, want %d", len(all), len(h.schedules))
	}
	for _, got := range all {
		want := h.schedules[got.ID]
		for _, ids := range []*[]string{&got.ClassroomIDs, &got.ComputerIDs, &want.ClassroomIDs, &want.ComputerIDs} {
			*ids = append([]string{}, *ids...) // nil and empty are the same
		}
		if !reflect.DeepEqual(got, want) {
			h.t.Errorf("schedule: got %+v, want %+v", got, want)
		}
	}
}
