package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"aula/webui/api"
	"aula/webui/client"
)

// A scope is what people call by name when they say where something is to run.
type scope struct {
	centres []api.Centre
	rooms   []api.Classroom
	pcs     []api.Computer
}

func fetchScope(ctx context.Context, c *client.Client) (s scope, err error) {
	if s.centres, err = c.Centres(ctx); err != nil {
		return s, err
	}
	if s.rooms, err = c.Classrooms(ctx); err != nil {
		return s, err
	}
	s.pcs, err = c.Computers(ctx)
	return s, err
}

// A place is a classroom or a PC.
type place struct {
	room *api.Classroom
	pc   *api.Computer
}

// places are the classrooms and PCs of the given names.
type places []place

// find finds each word: an id, the name of a classroom, alone or as CENTRE/CLASSROOM, or a PC's name or MAC address.
func (s scope) find(words []string) (places, error) {
	var all places
	for _, word := range words {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		p, err := s.one(word)
		if err != nil {
			return nil, exitError{err, exitNoFile}
		}
		all = append(all, p)
	}
	if len(all) == 0 {
		return nil, exitError{fmt.Errorf("say where with --on: the names of classrooms and computers, with commas between them%s", s.list()), exitNoFile}
	}
	return all, nil
}

func (s scope) one(word string) (place, error) {
	for _, same := range []func(a, b string) bool{func(a, b string) bool { return a == b }, strings.EqualFold} {
		found := s.called(word, same)
		switch {
		case len(found) > 1:
			return place{}, fmt.Errorf("%q is ambiguous: %s; say which by its id", word, s.describe(found))
		case len(found) == 1 && found[0].pc != nil && found[0].pc.State == "pending":
			return place{}, fmt.Errorf("computer %s is pending: accept it into a classroom first, in the console", word)
		case len(found) == 1:
			return found[0], nil
		}
	}
	return place{}, fmt.Errorf("there is no classroom and no computer %q%s", word, s.list())
}

// called is what has the name, or the id, which no two have.
func (s scope) called(word string, same func(a, b string) bool) (found places) {
	for i, room := range s.rooms {
		if room.ID == word {
			return places{{room: &s.rooms[i]}}
		}
		if same(room.Name, word) || same(s.centre(room)+"/"+room.Name, word) {
			found = append(found, place{room: &s.rooms[i]})
		}
	}
	for i, pc := range s.pcs {
		if pc.ID == word {
			return places{{pc: &s.pcs[i]}}
		}
		if same(pc.Name, word) || slices.ContainsFunc(pc.MACs, func(mac string) bool { return same(mac, word) }) {
			found = append(found, place{pc: &s.pcs[i]})
		}
	}
	return found
}

func (s scope) centre(room api.Classroom) string {
	for _, c := range s.centres {
		if c.ID == room.CentreID {
			return c.Name
		}
	}
	return ""
}

// room is the name of a classroom; its id when there is none.
func (s scope) room(id string) string {
	for _, r := range s.rooms {
		if r.ID == id {
			return r.Name
		}
	}
	return id
}

func (s scope) pc(id string) string {
	for _, pc := range s.pcs {
		if pc.ID == id {
			return pc.Name
		}
	}
	return id
}

func (s scope) describe(found places) string {
	words := make([]string, len(found))
	for i, p := range found {
		switch {
		case p.room != nil:
			words[i] = fmt.Sprintf("classroom %s of %s (%s)", p.room.Name, s.centre(*p.room), p.room.ID)
		case p.pc.ClassroomID != "":
			words[i] = fmt.Sprintf("computer %s in %s (%s)", p.pc.Name, s.room(p.pc.ClassroomID), p.pc.ID)
		default:
			words[i] = fmt.Sprintf("computer %s (%s)", p.pc.Name, p.pc.ID)
		}
	}
	return strings.Join(words, ", ")
}

// list tells which classrooms there are, for an error.
func (s scope) list() string {
	if len(s.rooms) == 0 {
		return "; there is no classroom yet: make one in the console"
	}
	names := make([]string, len(s.rooms))
	for i, r := range s.rooms {
		names[i] = r.Name
	}
	return "; classrooms: " + strings.Join(names, ", ")
}

// ids are what the API is told.
func (p places) ids() (computers, classrooms []string) {
	for _, one := range p {
		if one.room != nil {
			classrooms = append(classrooms, one.room.ID)
		} else {
			computers = append(computers, one.pc.ID)
		}
	}
	return computers, classrooms
}

// computers are the PCs in the places, each once.
func (s scope) computers(in places) []api.Computer {
	ids, rooms := in.ids()
	var all []api.Computer
	for _, pc := range s.pcs {
		if pc.State != "pending" && (slices.Contains(ids, pc.ID) || slices.Contains(rooms, pc.ClassroomID)) {
			all = append(all, pc)
		}
	}
	return all
}

// defaults are those of the classroom that all the places are in; none when they are in several.
func (s scope) defaults(in places) api.Defaults {
	id := ""
	for _, one := range in {
		of := ""
		if one.room != nil {
			of = one.room.ID
		} else {
			of = one.pc.ClassroomID
		}
		if id != "" && of != id {
			return api.Defaults{}
		}
		id = of
	}
	for _, r := range s.rooms {
		if r.ID == id {
			return r.Defaults
		}
	}
	return api.Defaults{}
}
