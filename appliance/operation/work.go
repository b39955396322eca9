package operation

import (
	"slices"

	"aula/clientos/protocol"
	"aula/imagestore"
)

// What the roster tells, and asks: Manager is its roster.Work.

// Connected says that a session of an accepted PC began; running is what the agent says that it holds, if anything.
func (m *Manager) Connected(computerID string, running *protocol.Report) {
	m.mu.Lock()
	delete(m.held, computerID)
	if running != nil && !running.Final() {
		m.held[computerID] = running.ID
	}
	seats := m.concerned(computerID, running)
	changed := m.advance(seats, func(*seat) event { return connected{running} })
	m.refuseUnknown(computerID, running)
	m.mu.Unlock()
	m.tell(changed)
}

// concerned returns the seats that a new session of the PC is news for: the one that it holds and the one that has it.
func (m *Manager) concerned(computerID string, running *protocol.Report) []*seat {
	var seats []*seat
	if s, ok := m.active[computerID]; ok {
		seats = append(seats, s)
	}
	if running != nil {
		if s, ok := m.seatOf(computerID, running.ID); ok && ended(s.State) {
			seats = append(seats, s)
		}
	}
	return seats
}

// refuseUnknown frees a PC that holds an instruction of which no record tells any more.
func (m *Manager) refuseUnknown(computerID string, r *protocol.Report) {
	if r == nil {
		return
	}
	if _, known := m.seatOf(computerID, r.ID); known {
		return
	}
	if s, ok := m.seats[firstID(r.ID)]; ok && s.ComputerID == computerID && s.urgent {
		return // of a statement that it is done with, as soon as the record can say so
	}
	e := cancel
	if r.Final() {
		e = settle
	}
	m.cfg.Log.Warn("PC holds an instruction that is not known here", "computer", computerID, "instruction", r.ID, "state", r.State)
	m.outbox.put(errand{e, computerID, r.ID, nil})
}

// Disconnected says that the PC's session ended.
func (m *Manager) Disconnected(computerID string) {
	m.mu.Lock()
	delete(m.held, computerID)
	var changed []string
	if s, ok := m.active[computerID]; ok {
		changed = m.advance([]*seat{s}, func(*seat) event { return disconnected{} })
	}
	m.mu.Unlock()
	m.tell(changed)
}

// Report says how an instruction stands on a PC.
func (m *Manager) Report(computerID string, r protocol.Report) {
	m.mu.Lock()
	if r.Final() {
		delete(m.held, computerID)
	} else {
		m.held[computerID] = r.ID
	}
	var changed []string
	if s, ok := m.seatOf(computerID, r.ID); ok {
		changed = m.advance([]*seat{s}, func(*seat) event { return reported{r} })
	} else if r.Final() {
		m.refuseUnknown(computerID, &r)
	}
	m.mu.Unlock()
	m.tell(changed)
}

// Entitled answers the instruction that the PC has now under this id, else false.
func (m *Manager) Entitled(computerID, instructionID string) (protocol.Instruct, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.seatOf(computerID, instructionID)
	if !ok || !s.atWork() {
		return protocol.Instruct{}, false
	}
	return s.Instruct, true
}

// Reading tells whether the PC has now an instruction that names this image revision of the repository.
func (m *Manager) Reading(computerID, repository, image string, revision int) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.active[computerID]
	return ok && s.atWork() && slices.ContainsFunc(s.Instruct.Parts, func(p protocol.Part) bool {
		return p.Image.Repository == repository && p.Image.Name == image && p.Image.Revision == revision
	})
}

// atWork tells whether the PC may be carrying the instruction out.
func (s *seat) atWork() bool { return !ended(s.State) && s.memory.Send != unsent }

// Publishing tells of a capture whose bytes have all arrived and that is being read again.
func (m *Manager) Publishing(computerID, instructionID string, done, total int64) {
	m.server(computerID, instructionID, publishing{done, total})
}

// Published tells of a capture that has become an image.
func (m *Manager) Published(computerID, instructionID string, img imagestore.Image) {
	m.server(computerID, instructionID, published{img})
}

// CaptureFailed tells of a capture that the server could not take or publish.
func (m *Manager) CaptureFailed(computerID, instructionID string, f protocol.Failure) {
	m.server(computerID, instructionID, captureFailed{f})
}

// server brings news of the server's own part in a capture.
func (m *Manager) server(computerID, instructionID string, ev event) {
	m.mu.Lock()
	var changed []string
	if s, ok := m.seatOf(computerID, instructionID); ok {
		changed = m.advance([]*seat{s}, func(*seat) event { return ev })
	}
	m.mu.Unlock()
	m.tell(changed)
}

// seatOf returns the seat of an instruction, if it is this PC's.
func (m *Manager) seatOf(computerID, instructionID string) (*seat, bool) {
	s, ok := m.seats[firstID(instructionID)]
	if !ok || s.ComputerID != computerID || s.Instruct.ID != instructionID || s.memory.Unprepared {
		return nil, false // not this PC's, or of a statement that it is done with
	}
	return s, true
}
