package webui

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/appliance/operation"
	"aula/clientos/instruction"
)

// What the pages do alike that compose, check and run programs of instructions.

// A programForm is a program and where it is to run, as pages hand it on to each other.
type programForm struct {
	PCs  []string
	Text string
	Late string // minutes for which PCs that are not connected may still come in; "0" for not at all, empty for the usual
	Note string // why, for people
	From string // page that composed it, for the way back
}

func readProgramForm(v url.Values) programForm {
	f := programForm{PCs: v["pc"], Text: strings.ReplaceAll(v.Get("text"), "\r\n", "\n"), Late: v.Get("late"), Note: v.Get("note")}
	if from := v.Get("from"); composes(from) {
		f.From = from
	}
	return f
}

// composes tells whether an address is that of a page which composes programs: the way back leads nowhere else.
func composes(address string) bool {
	path, _, _ := strings.Cut(address, "?")
	return slices.Contains([]string{"/deploy", "/restore", "/partition", "/cache", "/instructions"}, path)
}

// late is for how long to wait, as operation.Request has it.
func (f programForm) late() (time.Duration, error) {
	if f.Late == "" {
		return 0, nil
	}
	minutes, err := strconv.Atoi(f.Late)
	switch {
	case err != nil || minutes < 0 || minutes > maxLate:
		return 0, invalid("PCs are waited for from 0 to %d minutes, and %.40q is not that", maxLate, f.Late)
	case minutes == 0:
		return -1, nil
	}
	return time.Duration(minutes) * time.Minute, nil
}

const maxLate = 7 * 24 * 60 // minutes

// lateChoices are how long PCs that are not connected may be waited for.
func lateChoices() []choice {
	return []choice{
		{"", fmt.Sprintf("%.0f minutes", operation.DefaultLate.Minutes())}, {"0", "not at all"}, {"5", "5 minutes"}, {"120", "2 hours"}, {"720", "12 hours"},
	}
}

// lates are lateChoices with what the form says, in case it says something else.
func (f programForm) Lates() []choice {
	all := lateChoices()
	if slices.ContainsFunc(all, func(c choice) bool { return c.Value == f.Late }) {
		return all
	}
	return append(all, choice{f.Late, f.Late + " minutes"})
}

// request parses the program. Its error may be a textError.
func (f programForm) request() (operation.Request, error) {
	r := operation.Request{ComputerIDs: f.PCs, Note: f.Note}
	program, err := instruction.Parse(f.Text)
	if err != nil {
		return r, textError(err)
	}
	r.Program = program
	if r.Late, err = f.late(); err != nil {
		return r, err
	}
	if len(f.PCs) == 0 {
		return r, invalid("choose at least one PC")
	}
	return r, nil
}

// textError makes what is wrong with a text the caller's fault.
func textError(err error) error { return &inputError{err} }

// A textProblem is what is wrong at one place of a text, for people.
type textProblem struct {
	Line, Column int
	Text, Hint   string
	Source       string // the line of the text, up to where it is wrong, and the rest
	Rest         string
}

// maxSource is how much of a line is repeated on each side of what is wrong in it.
const maxSource = 60

// textProblems are what Parse found; nil when err is something else.
func textProblems(text string, err error) []textProblem {
	var all instruction.SyntaxErrors
	if !errors.As(err, &all) {
		return nil
	}
	lines := strings.Split(text, "\n")
	var out []textProblem
	for _, e := range all {
		found := strconv.Quote(e.Found)
		if strings.HasPrefix(e.Found, "the end of") {
			found = e.Found
		}
		p := textProblem{Line: e.Line, Column: e.Column, Text: fmt.Sprintf("expected %s, found %s", e.Expected, found), Hint: e.Hint}
		if e.Line >= 1 && e.Line <= len(lines) {
			runes := []rune(lines[e.Line-1])
			at := min(max(e.Column-1, 0), len(runes))
			p.Source, p.Rest = string(runes[max(0, at-maxSource):at]), string(runes[at:min(len(runes), at+maxSource)])
		}
		out = append(out, p)
	}
	return out
}

type programPage struct {
	page
	programForm
	Chosen     []catalog.Computer
	Rooms      []pickRoom // to choose from when no PC is chosen
	Words      []instruction.Help
	Procedures []catalog.Procedure
	Problem    string
	Wrong      []textProblem
	Checked    bool // the pre-flight below was made
	Checks     []operation.Preflight
	Pass, Fail int
	Away       int    // of Pass: not connected
	Room       string // name of the classroom, when all PCs are of one
	Ways       bool   // there is something to say of how images come
	Destroys   bool   // data is lost: the number of PCs must be typed
	Seen       string // digest of what is shown
	Confirm    string
	SaveAs     string // name of the procedure to save
}

// Asked is what to type.
func (v programPage) Asked() string { return askedOf(v.Pass, v.Room) }

// confirmed tells whether the operator has typed what is asked, or need not.
func (v programPage) confirmed() bool {
	return !v.Destroys || v.Confirm == strconv.Itoa(v.Pass) || v.Room != "" && strings.EqualFold(v.Confirm, v.Room)
}

// programPage begins a page with the text, without its pre-flight.
func (s *Server) programPage(c echo.Context, f programForm) (programPage, error) {
	v := programPage{page: s.page(c, "instructions", "Instructions"), programForm: f, Words: instruction.Words()}
	if f.From != "" {
		v.Active = "rooms"
	}
	var err error
	if v.Chosen, err = s.computersOf(f.PCs); err != nil {
		return v, err
	}
	if len(v.Chosen) == 0 {
		if v.Rooms, err = s.pickRooms(); err != nil {
			return v, err
		}
	}
	if v.Procedures, err = s.cfg.Catalog.Procedures(); err != nil {
		return v, err
	}
	v.Room, err = s.roomOf(f.PCs)
	return v, err
}

// roomOf is the name of the classroom that all the PCs are in, or "".
func (s *Server) roomOf(pcs []string) (string, error) {
	in := ""
	for i, id := range pcs {
		pc, err := s.cfg.Catalog.Computer(id)
		if err != nil {
			return "", err
		}
		if i > 0 && pc.ClassroomID != in {
			return "", nil
		}
		in = pc.ClassroomID
	}
	room, err := s.cfg.Catalog.Classroom(in)
	if err != nil {
		return "", nil // pending PCs are in no room; the check above says so
	}
	return room.Name, nil
}

// homeOf is the page of the classroom that all the PCs are in, or that of all classrooms.
func homeOf(pcs []catalog.Computer) string {
	for _, pc := range pcs {
		if pc.State != catalog.Accepted || pc.ClassroomID != pcs[0].ClassroomID {
			return "/"
		}
	}
	if len(pcs) == 0 {
		return "/"
	}
	return "/classrooms/" + pcs[0].ClassroomID
}

// askedOf is what to type to confirm something on so many PCs, of the room if all are of one.
func askedOf(pcs int, room string) string {
	if room == "" {
		return fmt.Sprintf("%d (the number of PCs)", pcs)
	}
	return fmt.Sprintf("%d (the number of PCs) or %s", pcs, room)
}

// computersOf are the PCs of these ids.
func (s *Server) computersOf(ids []string) ([]catalog.Computer, error) {
	var all []catalog.Computer
	for _, id := range ids {
		pc, err := s.cfg.Catalog.Computer(id)
		if err != nil {
			return nil, err
		}
		all = append(all, pc)
	}
	return all, nil
}

// chosen are the PCs that a query or form names, one by one or by their classrooms, each once.
func (s *Server) chosen(v url.Values) ([]string, error) {
	return s.inScope(v["pc"], v["classroom"])
}

// inScope are the PCs themselves and those of the classrooms.
func (s *Server) inScope(ids, classroomIDs []string) ([]string, error) {
	var all []string
	for _, id := range ids {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	if len(classroomIDs) == 0 {
		return all, nil
	}
	for _, id := range classroomIDs {
		if _, err := s.cfg.Catalog.Classroom(id); err != nil {
			return nil, err
		}
	}
	computers, err := s.cfg.Catalog.Computers()
	if err != nil {
		return nil, err
	}
	for _, pc := range computers {
		if pc.State == catalog.Accepted && slices.Contains(classroomIDs, pc.ClassroomID) && !slices.Contains(all, pc.ID) {
			all = append(all, pc.ID)
		}
	}
	return all, nil
}

// check fills in the pre-flight, or what is wrong with the text. Its error is that of the appliance.
func (s *Server) check(ctx context.Context, v *programPage) (operation.Request, error) {
	r, err := v.request()
	if err == nil {
		v.Checks, err = s.cfg.Operations.Check(ctx, r)
	}
	if err != nil {
		v.Wrong = textProblems(v.Text, err)
		if statusOf(err) == http.StatusInternalServerError {
			return r, err
		}
		v.Problem = textOf(err)
		if len(v.Wrong) > 0 {
			v.Problem = "The instruction cannot be read: " + count(len(v.Wrong), "mistake", "mistakes") + "."
		}
		return r, nil
	}
	v.Checked = true
	for _, p := range v.Checks {
		v.Ways = v.Ways || p.Failure == nil && (p.Way != "" || len(p.Notes) > 0)
		switch {
		case p.Failure != nil:
			v.Fail++
		default:
			v.Pass++
			v.Destroys = v.Destroys || len(p.Loses) > 0
			if !p.Online {
				v.Away++
			}
		}
	}
	v.Destroys = v.Destroys || writes(r.Program)
	v.Seen = programDigest(v.programForm, r, v.Checks)
	return r, nil
}

// writes tells whether a program overwrites what is on disks, whatever the pre-flight of PCs that are not there knows of it.
func writes(p instruction.Program) bool {
	return slices.ContainsFunc(p.Statements, func(s instruction.Statement) bool {
		switch s.Word {
		case instruction.RestoreImage, instruction.RestoreDiskImage, instruction.DeployImage, instruction.DeployDiskImage,
			instruction.PartitionDisk, instruction.FormatPartition, instruction.InitCache:
			return true
		}
		return false
	})
}

// programDigest fixes what the operator was shown, so that a program begins only if it would still do just that. PCs that connect meanwhile
// change nothing of it.
func programDigest(f programForm, r operation.Request, checks []operation.Preflight) string {
	type shown struct {
		ID, Disk string
		Loses    []string
		Fails    bool
	}
	all := make([]shown, len(checks))
	for i, p := range checks {
		all[i] = shown{p.ComputerID, p.Disk, p.Loses, p.Failure != nil}
	}
	data, err := json.Marshal(struct {
		Text   string
		Late   string
		Checks []shown
	}{r.Program.String(), f.Late, all})
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))
}

// showProgram answers the page of a composed or edited program with its pre-flight.
func (s *Server) showProgram(c echo.Context, f programForm) error {
	v, err := s.programPage(c, f)
	if err != nil {
		return err
	}
	if _, err := s.check(c.Request().Context(), &v); err != nil {
		return err
	}
	status := http.StatusOK
	if v.Problem != "" && c.Request().Header.Get("HX-Request") == "" { // htmx shows no page with another status
		status = http.StatusUnprocessableEntity
	}
	return s.render(c, status, "program", v)
}

func (s *Server) checkProgram(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	return s.showProgram(c, readProgramForm(form))
}

// runProgram starts what the operator saw and confirmed, and nothing else.
func (s *Server) runProgram(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	v, err := s.programPage(c, readProgramForm(form))
	if err != nil {
		return err
	}
	ctx := c.Request().Context()
	r, err := s.check(ctx, &v)
	if err != nil {
		return err
	}
	v.Confirm = strings.TrimSpace(form.Get("confirm"))
	switch {
	case v.Problem != "":
		return s.render(c, http.StatusUnprocessableEntity, "program", v)
	case v.Pass == 0:
		err = invalid("no PC can do this; nothing was done")
	case form.Get("seen") != v.Seen:
		err = invalid("the instruction, or what would be lost, has changed since you looked; nothing was done. Read the list again")
		v.Confirm = ""
	case !v.confirmed():
		err = invalid("to confirm, type %s; nothing was done", v.Asked())
	default:
		var op operation.Operation
		if op, err = s.begin(ctx, r); err == nil {
			return s.goTo(c, "/operations/"+op.ID)
		}
		if statusOf(err) == http.StatusInternalServerError {
			return err
		}
	}
	v.Problem = textOf(err)
	return s.render(c, statusOf(err), "program", v)
}

// begin starts an operation in the name of who asks.
func (s *Server) begin(ctx context.Context, r operation.Request) (operation.Operation, error) {
	return s.cfg.Operations.Begin(ctx, callerOf(ctx).name(), r)
}

// composed writes statements as a text.
func composed(statements ...instruction.Statement) string {
	return instruction.Program{Statements: statements}.String()
}
