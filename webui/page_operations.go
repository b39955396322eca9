package webui

import (
	"cmp"
	"context"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/appliance/operation"
	"aula/clientos/instruction"
)

type operationsPage struct {
	page
	Operations []head
	Tasks      []taskView
}

type operationPage struct {
	page
	head
	Rows    []row
	Again   template.URL // query of a restore on the PCs that failed, of operations that cannot be retried
	Text    string       // of the program
	Note    string
	Problem string
	Program template.URL // of a retry that is looked at first; empty for none
}

// Bounds of the lists.
const (
	listedOperations = 100
	listedTasks      = 20
)

func (s *Server) showOperations(c echo.Context) error {
	v := operationsPage{page: s.page(c, "work", "Operations")}
	v.Topics = []string{allRooms, allTasks}
	for _, op := range s.cfg.Operations.Operations(listedOperations) {
		v.Operations = append(v.Operations, operationHead(op, s.now()))
	}
	for _, t := range s.cfg.Upkeep.Tasks() {
		if len(v.Tasks) < listedTasks {
			v.Tasks = append(v.Tasks, viewTask(t, s.now()))
		}
	}
	return s.render(c, http.StatusOK, "operations", v)
}

func (s *Server) showOperation(c echo.Context) error { return s.operationPage(c, http.StatusOK, "") }

func (s *Server) operationPage(c echo.Context, status int, problem string) error {
	v := operationPage{page: s.page(c, "work", ""), Problem: problem}
	op, err := s.cfg.Operations.Operation(c.Param("id"))
	if err != nil {
		return err
	}
	v.head = operationHead(op, s.now())
	v.Title, v.Topics, v.Path = v.What, []string{operationTopic(op.ID)}, "/operations/"+op.ID
	v.Text, v.Note, v.Session = op.Text, op.Note, s.sessionOf(op)
	if v.Ended { // a report begins with what somebody must look at
		slices.SortStableFunc(op.Targets, func(a, b operation.Target) int { return cmp.Compare(urgency(b), urgency(a)) })
	}
	for _, t := range op.Targets {
		v.Rows = append(v.Rows, targetRow(op, t))
	}
	if v.Retry {
		v.Program = retryProgram(op)
	}
	if len(v.FailedPCs) > 0 && !v.Retry {
		again := s.again(op)
		again.PCs = v.FailedPCs
		v.Again = again.Query()
	}
	return s.render(c, status, "operation", v)
}

// retryProgram is the query of the page that shows what a retry would do to each PC, before it does: the statements from the one at which the PCs ended.
// It is empty when they ended at different ones, or when only warnings are to be repeated: that is then for operation.Retry.
func retryProgram(op operation.Operation) template.URL {
	v := url.Values{"note": {"retry of " + op.ID}, "from": {"/operations/" + op.ID}}
	from := -1
	for _, t := range op.Targets {
		switch {
		case t.State == operation.Done:
			continue
		case from >= 0 && t.Step != from:
			return ""
		}
		from = t.Step
		v.Add("pc", t.ComputerID)
	}
	if from < 0 || from >= len(op.Steps) {
		return ""
	}
	var program instruction.Program
	for _, step := range op.Steps[from:] {
		s := step.Statement
		if !step.Whole && len(step.Parts) == 1 {
			s.Revision = step.Revision // the image that it was, whatever was published since
		}
		program.Statements = append(program.Statements, s)
	}
	v.Set("text", program.String())
	return template.URL(v.Encode())
}

// urgency is how much a PC's result must be looked at.
func urgency(t operation.Target) int {
	switch {
	case t.State == operation.Failed, t.State == operation.Incomplete:
		return 3
	case t.State != operation.Done:
		return 2
	}
	return boolInt(len(t.Warnings) > 0)
}

// again is the form that asks for the same restore once more.
func (s *Server) again(op operation.Operation) restoreForm {
	f := restoreForm{Image: op.Image, Layout: op.Layout && !op.Whole}
	if op.Repository != "" {
		f.Image = op.Repository + "/" + op.Image
	}
	in := op.Targets[0].Instruct // the same place on every PC
	if in.Disk.Number < 1 || len(in.Parts) == 0 {
		return f
	}
	first := in.Parts[0]
	f.Target = fmt.Sprintf("%d/%d", in.Disk.Number, first.Partition)
	if op.Whole {
		f.Target = fmt.Sprintf("%d/0", in.Disk.Number)
	}
	if op.Whole && first.Partition > 0 { // a set
		f.Image = wholeValue(op.Repository, op.Image, s.setDisk(op.Repository, op.Image, first.Image.Name))
		return f
	}
	if img, err := s.image(op.Repository, op.Image); err == nil && img.Revision != op.Revision {
		f.Revision = strconv.Itoa(op.Revision)
	}
	return f
}

// setDisk is the disk that one image of a set comes from, or 0 when the whole set comes from one.
func (s *Server) setDisk(repository, set, member string) int {
	images, err := s.cfg.Images.Set(repository, set)
	if err != nil {
		return 0
	}
	of, several := 0, false
	for _, img := range images {
		several = several || img.Source.Disk != images[0].Source.Disk
		if img.Name == member {
			of = img.Source.Disk
		}
	}
	if !several {
		return 0
	}
	return of
}

func (s *Server) cancelOperation(c echo.Context) error {
	ctx, id := c.Request().Context(), c.Param("id")
	if err := s.cfg.Operations.Cancel(ctx, id); err != nil {
		if status := statusOf(err); status == http.StatusInternalServerError || status == http.StatusNotFound {
			return err
		}
		return s.operationPage(c, statusOf(err), textOf(err))
	}
	s.log.Info("operation cancelled", "operation", id, "by", callerOf(ctx).name())
	return s.goTo(c, "/operations/"+url.PathEscape(id))
}

// retryOperation starts it once more on the PCs that did not end as they should.
func (s *Server) retryOperation(c echo.Context) error {
	ctx, id := c.Request().Context(), c.Param("id")
	op, err := s.cfg.Operations.Retry(ctx, callerOf(ctx).name(), id)
	if err != nil {
		if status := statusOf(err); status == http.StatusInternalServerError || status == http.StatusNotFound {
			return err
		}
		return s.operationPage(c, statusOf(err), textOf(err))
	}
	return s.goTo(c, "/operations/"+url.PathEscape(op.ID))
}

// startNow stops waiting for PCs that are not there.
func (s *Server) startNow(c echo.Context) error {
	ctx, id := c.Request().Context(), c.Param("id")
	if err := s.startWithThese(ctx, id); err != nil {
		if status := statusOf(err); status == http.StatusInternalServerError || status == http.StatusNotFound {
			return err
		}
		return s.operationPage(c, statusOf(err), textOf(err))
	}
	return s.goTo(c, "/operations/"+url.PathEscape(id))
}

// startWithThese stops waiting for PCs that are not there, those of multicast sessions included.
func (s *Server) startWithThese(ctx context.Context, id string) error {
	if err := s.cfg.Operations.StartNow(ctx, id); err != nil {
		return err
	}
	op, err := s.cfg.Operations.Operation(id)
	if err == nil && s.cfg.Sessions != nil {
		for _, name := range sessionsOf(op) {
			s.cfg.Sessions.Start(name)
		}
	}
	s.log.Info("operation starts with those that are there", "operation", id, "by", callerOf(ctx).name())
	return err
}

type powerPage struct {
	page
	Kind    string
	Verb    string
	Effect  string
	PCs     []catalog.Computer
	Home    string // where Back leads
	Problem string
}

// powerEffects say what happens to a PC.
var powerEffects = map[string]string{
	operation.Reboot:   "Each PC restarts at once and boots what is chosen for it, which is its own disk unless somebody chose otherwise. What somebody has open on it is lost.",
	operation.BootDisk: "Each PC restarts at once and boots the system on its own disk, whatever is chosen for it otherwise. The start after that is as it always is.",
	operation.PowerOff: "Each PC switches off at once. It can be woken up again if its network card is set to wake on LAN; else somebody must press its button.",
	operation.WakeUp:   "Each PC that is switched off is woken by wake on LAN and starts the client OS, in which it takes instructions. Those that do not come are named.",
}

func (s *Server) showPower(c echo.Context) error {
	return s.powerPage(c, http.StatusOK, c.QueryParam("kind"), c.QueryParams()["pc"], "")
}

func (s *Server) powerPage(c echo.Context, status int, kind string, ids []string, problem string) error {
	if !isPower(kind) {
		return echo.ErrNotFound
	}
	v := powerPage{page: s.page(c, "rooms", kindWords[kind]), Kind: kind, Verb: kindWords[kind], Effect: powerEffects[kind], Problem: problem}
	for _, id := range ids {
		pc, err := s.cfg.Catalog.Computer(id)
		if err != nil {
			return err
		}
		v.PCs = append(v.PCs, pc)
	}
	v.Home = homeOf(v.PCs)
	return s.render(c, status, "power", v)
}

func (s *Server) startPower(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	kind, ids := form.Get("kind"), form["pc"]
	if !isPower(kind) {
		return echo.ErrNotFound
	}
	var op operation.Operation
	if err = invalid("choose at least one PC"); len(ids) > 0 {
		op, err = s.power(c.Request().Context(), kind, ids, form.Get("after"))
	}
	switch {
	case err == nil:
		return s.goTo(c, "/operations/"+op.ID)
	case statusOf(err) == http.StatusInternalServerError:
		return err
	}
	return s.powerPage(c, statusOf(err), kind, ids, textOf(err))
}

// power commands PCs; those that are woken may be told what to do then.
func (s *Server) power(ctx context.Context, kind string, ids []string, after string) (operation.Operation, error) {
	if kind != operation.WakeUp {
		return s.cfg.Operations.Power(ctx, callerOf(ctx).name(), kind, ids)
	}
	statements := []instruction.Statement{{Word: instruction.WakeUp, Seconds: wakeSeconds}}
	switch after {
	case "":
	case instruction.BootOS, instruction.Reboot:
		statements = append(statements, instruction.Statement{Word: after})
	default:
		return operation.Operation{}, invalid("after waking up there is %s or %s, not %.40q", instruction.BootOS, instruction.Reboot, after)
	}
	r, err := programForm{PCs: ids, Text: composed(statements...)}.request()
	if err != nil {
		return operation.Operation{}, err
	}
	return s.begin(ctx, r)
}
