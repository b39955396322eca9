package webui

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/appliance/operation"
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
	Again   template.URL // query of a restore on the PCs that failed
	Problem string
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
	for _, t := range op.Targets {
		v.Rows = append(v.Rows, targetRow(op, t))
	}
	if len(v.FailedPCs) > 0 {
		in := op.Targets[0].Instruct // the same place on every PC
		again := restoreForm{PCs: v.FailedPCs, Image: op.Image, Layout: op.Layout}
		if in.Disk.Number > 0 && in.Partition > 0 {
			again.Target = fmt.Sprintf("%d/%d", in.Disk.Number, in.Partition)
		}
		v.Again = again.Query()
	}
	return s.render(c, status, "operation", v)
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

type powerPage struct {
	page
	Kind    string
	Verb    string
	Effect  string
	PCs     []catalog.Computer
	Problem string
}

// powerEffects say what happens to a PC.
var powerEffects = map[string]string{
	operation.Reboot:   "Each PC restarts at once and boots from the network again. What somebody has open on it is lost.",
	operation.BootDisk: "Each PC restarts at once and boots the system on its own disk. The start after that is from the network again.",
	operation.PowerOff: "Each PC switches off at once. Somebody must switch it on again at its button.",
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
		ctx := c.Request().Context()
		op, err = s.cfg.Operations.Power(ctx, callerOf(ctx).name(), kind, ids)
	}
	switch {
	case err == nil:
		return s.goTo(c, "/operations/"+op.ID)
	case statusOf(err) == http.StatusInternalServerError:
		return err
	}
	return s.powerPage(c, statusOf(err), kind, ids, textOf(err))
}
