package operation

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"aula/appliance/catalog"
	"aula/clientos/protocol"
	"aula/imagestore/multicast"
)

// What there is to a multicast session or a swarm before anything is sent: its name, its parameters, and who is still to join.

// sessionID names the multicast session of a step.
func sessionID(operationID string, step int) string { return fmt.Sprintf("%s.%d", operationID, step) }

// splitSession takes the name of a session apart.
func splitSession(session string) (operationID string, step int) {
	operationID, number, _ := strings.Cut(session, ".")
	step, err := strconv.Atoi(number)
	if err != nil {
		return "", 0
	}
	return operationID, step
}

// The usual session, when neither program nor classroom say how it is to be.
const (
	usualPort = 9000
	usualWait = time.Minute
)

// parametrise completes deliveries that do not tell their parameters: with those of the classroom of the PCs, for as many computers as they are, or else
// the usual ones, by the group of the appliance's network.
func (m *Manager) parametrise(steps []Step, computers []catalog.Computer) error {
	for i := range steps {
		s := &steps[i].Statement
		d := &s.Delivery
		if d.Parameters != "" || d.Protocol != protocol.Multicast && d.Protocol != protocol.Torrent {
			continue
		}
		steps[i].Assumed = true
		if m.cfg.Parameters != nil {
			d.Parameters = m.cfg.Parameters(d.Protocol, computers)
		}
		if d.Protocol == protocol.Torrent {
			continue
		}
		if d.Parameters = m.sessionFor(d.Parameters, len(computers)); d.Parameters == "" {
			return fmt.Errorf("line %d: %s: the group address for multicast cannot be made, because the network of this machine is not known "+
				"(write the parameters of the session, such as 9000:full-duplex:239.194.17.36:0M:%d:60)", s.Line, s.Word, len(computers))
		}
	}
	return nil
}

// sessionFor is a classroom's session, or without one the usual, for so many computers; empty when the network is not known.
func (m *Manager) sessionFor(classroom string, computers int) string {
	session, err := multicast.ParseSession(classroom)
	if err != nil {
		if !m.cfg.Network.IsValid() {
			return ""
		}
		session = multicast.Session{Port: usualPort, Mode: multicast.FullDuplex, Group: multicast.GroupOf(m.cfg.Network), Wait: usualWait}
	}
	session.Computers = computers
	return session.String()
}

// Awaited tells how many PCs have yet to decide whether they join a session: those that are connected, and those that were just told to wake up or to
// restart. It is negative when the operation is over.
func (m *Manager) Awaited(session string) int {
	id, step := splitSession(session)
	choose := func() []*seat {
		j, ok := m.jobs[id]
		if !ok || j.op.State != Running {
			return nil
		}
		return j.unended()
	}
	online := m.online(choose)
	m.mu.Lock()
	defer m.mu.Unlock()
	seats := choose()
	if len(seats) == 0 {
		return -1
	}
	awaited := 0
	for _, s := range seats {
		before := s.Step < step && s.Stage != protocol.StageSharing // which may last for an hour
		undecided := before || s.Step == step && (s.State == Waiting || s.Stage == protocol.StagePreflight)
		if undecided && (online[s.ComputerID] || s.coming()) {
			awaited++
		}
	}
	return awaited
}

// coming tells whether a PC that is not there is on its way: it wakes up, or restarts.
func (p part) coming() bool {
	return p.State == Waiting && (p.memory.Away || p.Step < len(p.kinds) && p.kinds[p.Step] == WakeUp)
}
