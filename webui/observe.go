package webui

import (
	"errors"
	"fmt"
	"strings"

	"aula/appliance/catalog"
	"aula/appliance/operation"
)

// Topics that pages subscribe to.
const (
	everyPage = "" // the frame around every page
	allRooms  = "rooms"
	allImages = "images"
	allTasks  = "tasks"

	allTorrents = "torrents"
)

func roomTopic(id string) string      { return "room:" + id }
func computerTopic(id string) string  { return "computer:" + id }
func operationTopic(id string) string { return "operation:" + id }

// shapes remembers what each live element looked like apart from its numbers, so that only a change of state sends HTML.
// It belongs to the goroutine of live.run.
type shapes map[string]string

// maxShapes bounds the memory; after it everything is sent as HTML once more.
const maxShapes = 20000

// changed notes the shape of an element and reports whether it differs.
func (s shapes) changed(key, shape string) bool {
	if len(s) > maxShapes {
		clear(s)
	}
	before, known := s[key]
	s[key] = shape
	return !known || before != shape
}

// observe turns dirt into what open pages need.
func (s *Server) observe(d dirt) observation {
	var o observation
	if d.catalog {
		o.changed = append(o.changed, "catalog")
		s.observePending(&o)
	}
	if d.images {
		s.observeImages(&o)
	}
	for id := range d.tasks {
		s.observeTask(&o, id)
	}
	for id := range d.operations {
		op, err := s.cfg.Operations.Operation(id)
		if err != nil {
			if !errors.Is(err, operation.ErrNotFound) {
				s.log.Warn("live: operation not read", "operation", id, "error", err)
			}
			continue
		}
		s.noteWork(op)
		s.observeOperation(&o, op)
		for _, t := range op.Targets {
			d.computers[t.ComputerID] = true
		}
	}
	if len(d.boots) > 0 {
		s.observeBoots(&o, d.boots)
	}
	if d.network || d.boots[""] {
		s.observeNetwork(&o)
	}
	if d.sessions {
		s.observeSessions(&o)
	}
	if d.torrents {
		s.observeTorrents(&o, d.computers)
	}
	if len(d.computers) > 0 || d.catalog {
		if err := s.observeComputers(&o, d.computers); err != nil {
			s.log.Warn("live: computers not read", "error", err)
		}
	}
	return o
}

// observeImages tells pages of images to fetch themselves again when one stands otherwise than before, and how far those that arrive
// or are processed have got.
func (s *Server) observeImages(o *observation) {
	images, err := s.images("")
	if err != nil {
		s.log.Warn("live: images not read", "error", err)
		return
	}
	var all strings.Builder
	moving := false
	for _, img := range images {
		v := s.viewImage(img)
		fmt.Fprintln(&all, v.Key, v.shape())
		if !v.Moving {
			continue
		}
		moving = true
		if s.shapes.changed(v.Key+" numbers", v.numbers()) {
			o.add(patch{Key: v.Key, Percent: &v.Percent, Fields: v.fields()}, allImages)
		}
	}
	s.moving.Store(moving)
	trash, err := s.trash("")
	if err != nil {
		s.log.Warn("live: trash not read", "error", err)
	}
	for _, t := range trash {
		fmt.Fprintln(&all, "trash", t.Repository, t.ID)
	}
	for _, r := range s.cfg.Images.Repositories() {
		fmt.Fprintln(&all, "repository", r.Name())
	}
	if s.shapes.changed("images", all.String()) {
		o.changed = append(o.changed, "images")
	}
}

// observeTask tells the lists and the task's page.
func (s *Server) observeTask(o *observation, id string) {
	t, err := s.cfg.Upkeep.Task(id)
	if err != nil {
		return // forgotten already
	}
	v := viewTask(t, s.now())
	if s.shapes.changed(v.Key, v.shape()) {
		o.changed = append(o.changed, "tasks")
		o.add(s.html(v.Key, "task-head", v), allTasks)
	} else if s.shapes.changed(v.Key+" numbers", v.numbers()) {
		o.add(patch{Key: v.Key, Percent: &v.Percent, Fields: v.fields()}, allTasks)
		o.add(patch{Key: "row-" + v.Key, Percent: &v.Percent, Fields: v.fields()}, allTasks)
	}
}

// noteWork keeps the standings of the live stream up to date without looking at all operations for each report.
func (s *Server) noteWork(op operation.Operation) {
	if isPower(op.Kind) && !op.Ended.IsZero() {
		s.work = nil // what the PCs did before it counts again
	}
	if s.work != nil {
		s.work.note(op)
	}
}

// observePending tells every page how many PCs wait.
func (s *Server) observePending(o *observation) {
	n, err := s.pendingCount()
	if err != nil {
		return
	}
	if s.shapes.changed("pending", fmt.Sprint(n)) {
		o.add(s.html("pending", "pending-badge", n), everyPage)
	}
}

// observeOperation tells the operation's page, and the lists when its state changed.
func (s *Server) observeOperation(o *observation, op operation.Operation) {
	topic := operationTopic(op.ID)
	head := operationHead(op, s.now())
	s.noteSession(op)
	moved := s.shapes.changed(head.Key, head.shape())
	if moved {
		o.changed = append(o.changed, "operations")
		if op.Kind == operation.CreateImage && op.State == operation.Done {
			o.changed = append(o.changed, "images")
		}
	}
	head.Session = s.sessionOf(op)
	if s.shapes.changed(head.Key+" session", head.Session) || moved {
		o.add(s.html(head.Key, "operation-head", head), topic)
	} else {
		o.add(patch{Key: head.Key, Percent: &head.Percent, Fields: head.fields()}, topic, allRooms)
	}
	for _, t := range op.Targets {
		row := targetRow(op, t)
		if s.shapes.changed(row.Key, row.shape()) {
			o.add(s.html(row.Key, "target-row", row), topic)
		} else if t.State == operation.Running && s.shapes.changed(row.Key+" numbers", row.numbers()) {
			o.add(patch{Key: row.Key, Percent: &row.Percent, Fields: row.fields()}, topic)
		}
	}
}

// observeComputers tells the rooms and the pages of the PCs.
func (s *Server) observeComputers(o *observation, dirty map[string]bool) error {
	computers, err := s.cfg.Catalog.Computers()
	if err != nil {
		return err
	}
	groups, err := s.groupNames()
	if err != nil {
		return err
	}
	if s.work == nil {
		s.work = s.standings()
	}
	s.work.parts = s.parts
	now := s.now()
	rooms := map[string]*roomCount{}
	touched := map[string]bool{}
	for _, pc := range computers {
		if pc.State != catalog.Accepted {
			if dirty[pc.ID] { // its code, or whether it is connected
				o.changed = append(o.changed, "catalog")
			}
			continue
		}
		t := tileOf(pc, conditionOf(s.work.of(pc), now), groups)
		if rooms[pc.ClassroomID] == nil {
			rooms[pc.ClassroomID] = &roomCount{ID: pc.ClassroomID}
		}
		rooms[pc.ClassroomID].add(t.condition)
		if !dirty[pc.ID] {
			continue
		}
		touched[pc.ClassroomID] = true
		topics := []string{roomTopic(pc.ClassroomID), computerTopic(pc.ID)}
		if s.shapes.changed(t.Key, t.shape()) {
			o.add(s.html(t.Key, "tile", t), roomTopic(pc.ClassroomID))
			o.add(s.html("now-"+pc.ID, "computer-now", t), computerTopic(pc.ID))
		} else if s.shapes.changed(t.Key+" numbers", t.numbers()) {
			o.add(patch{Key: t.Key, Percent: &t.Percent, Fields: t.fields()}, topics...)
			o.add(patch{Key: "now-" + pc.ID, Percent: &t.Percent, Fields: t.fields()}, topics...)
		}
	}
	for id, room := range rooms {
		if touched[id] && s.shapes.changed("room-"+id, room.Sentence()) {
			o.add(s.html("room-"+id, "room-count", *room), roomTopic(id), allRooms)
		}
	}
	return nil
}

// add appends a patch unless its HTML could not be made.
func (o *observation) add(p patch, topics ...string) {
	if p.Key != "" {
		o.items = append(o.items, item{topics, p})
	}
}

// html renders an element.
func (s *Server) html(key, name string, view any) patch {
	text, err := s.pages.fragment(name, view)
	if err != nil {
		s.log.Error("live: fragment not rendered", "fragment", name, "error", err)
		return patch{}
	}
	return patch{Key: key, HTML: text}
}
