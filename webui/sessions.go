package webui

import (
	"fmt"
	"slices"
	"strings"

	"aula/appliance/operation"
	"aula/clientos/protocol"
	"aula/imagestore/multicast"
)

// Sessions tells of the multicast sessions that bring images to PCs; *sender.Senders is one.
type Sessions interface {
	// Status is how a session stands, by the name that its instructions carry; false when there is none.
	Status(session string) (multicast.SenderStatus, bool)
	// Start has it begin with those that have joined. One that is not there, or has begun, is left alone.
	Start(session string)
}

// sessionsOf are the names of the multicast sessions of an operation that its PCs are in now.
func sessionsOf(op operation.Operation) []string {
	var names []string
	for _, t := range op.Targets {
		if d := t.Instruct.Delivery; d != nil && d.Session != "" && !over(t.State) && !slices.Contains(names, d.Session) {
			names = append(names, d.Session)
		}
	}
	return names
}

// awaitedIn is how many PCs of an operation are to be in a session.
func awaitedIn(op operation.Operation, session string) int {
	n := 0
	for _, t := range op.Targets {
		if d := t.Instruct.Delivery; d != nil && d.Session == session && t.State != operation.Failed {
			n++
		}
	}
	return n
}

// sessionOf says how the multicast sessions of an operation stand, in words.
func (s *Server) sessionOf(op operation.Operation) string {
	if s.cfg.Sessions == nil || !op.Ended.IsZero() {
		return ""
	}
	var parts []string
	for _, name := range sessionsOf(op) {
		if status, ok := s.cfg.Sessions.Status(name); ok {
			parts = append(parts, sessionWords(status, awaitedIn(op, name)))
		}
	}
	return strings.Join(parts, " ")
}

// sessionWords is a session in one sentence.
func sessionWords(status multicast.SenderStatus, expected int) string {
	there, behind := 0, 0
	for _, r := range status.Receivers {
		there += boolInt(r.State != multicast.Silent && r.State != multicast.Failed)
		behind += boolInt(r.State == multicast.Behind || r.State == multicast.Alone)
	}
	switch status.Phase {
	case multicast.Waiting:
		return fmt.Sprintf("%s session: %d of %d PCs have joined.", protocol.Multicast, there, max(expected, there))
	case multicast.Sending:
		text := fmt.Sprintf("%s session: sends to %s", protocol.Multicast, count(there, "PC", "PCs"))
		if behind > 0 {
			text += fmt.Sprintf(", %d behind", behind)
		}
		return text + "."
	case multicast.CatchingUp:
		return fmt.Sprintf("%s session: %s the rest.", protocol.Multicast, count(there, "PC fetches", "PCs fetch"))
	}
	return ""
}

// noteSession remembers an operation for as long as its PCs are in a session, about which the sender tells nothing by itself.
func (s *Server) noteSession(op operation.Operation) {
	switch {
	case s.attended == nil: // the next look finds it
	case op.Ended.IsZero() && len(sessionsOf(op)) > 0:
		s.attended[op.ID] = true
	default:
		delete(s.attended, op.ID)
	}
}

// observeSessions tells the pages of operations how their sessions stand now.
func (s *Server) observeSessions(o *observation) {
	if s.attended == nil {
		s.attended = map[string]bool{}
		for _, op := range s.cfg.Operations.Operations(0) {
			s.noteSession(op)
		}
	}
	for id := range s.attended {
		op, err := s.cfg.Operations.Operation(id)
		if err != nil {
			delete(s.attended, id)
			continue
		}
		head := operationHead(op, s.now())
		if head.Session = s.sessionOf(op); s.shapes.changed(head.Key+" session", head.Session) {
			o.add(s.html(head.Key, "operation-head", head), operationTopic(id))
		} else {
			o.add(patch{Key: head.Key, Percent: &head.Percent, Fields: head.fields()}, operationTopic(id))
		}
	}
}
