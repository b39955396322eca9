package webui

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/clientos/instruction"
)

// showInstructions is the editor, empty or with a procedure that was saved.
func (s *Server) showInstructions(c echo.Context) error {
	query := c.QueryParams()
	f := readProgramForm(query)
	var err error
	if f.PCs, err = s.chosen(query); err != nil {
		return err
	}
	name := ""
	if id := query.Get("procedure"); id != "" {
		p, err := s.cfg.Catalog.Procedure(id)
		if err != nil {
			return err
		}
		name, f.Text, f.Note = p.Name, p.Text, p.Name
	}
	v, err := s.programPage(c, f)
	if err != nil {
		return err
	}
	if v.SaveAs = name; v.Text != "" && len(v.Chosen) > 0 {
		if _, err := s.check(c.Request().Context(), &v); err != nil {
			return err
		}
	}
	return s.render(c, http.StatusOK, "program", v)
}

type proceduresPage struct {
	page
	Procedures []catalog.Procedure
	Used       map[string][]string // names of the schedules of each
	Edit       catalog.Procedure
	Wrong      []textProblem
	Problem    string
	Words      []instruction.Help
}

func (s *Server) showProcedures(c echo.Context) error {
	var edit catalog.Procedure
	if id := c.QueryParam("edit"); id != "" {
		var err error
		if edit, err = s.cfg.Catalog.Procedure(id); err != nil {
			return err
		}
	}
	return s.proceduresPage(c, http.StatusOK, edit, nil)
}

func (s *Server) proceduresPage(c echo.Context, status int, edit catalog.Procedure, problem error) error {
	v := proceduresPage{page: s.page(c, "instructions", "Procedures"), Edit: edit, Used: map[string][]string{}, Words: instruction.Words()}
	if problem != nil {
		v.Wrong = textProblems(edit.Text, problem)
		if v.Problem = textOf(problem); len(v.Wrong) > 0 {
			v.Problem = "Not saved: the instruction cannot be read."
		}
	}
	var err error
	if v.Procedures, err = s.cfg.Catalog.Procedures(); err != nil {
		return err
	}
	schedules, err := s.cfg.Catalog.Schedules()
	if err != nil {
		return err
	}
	for _, p := range schedules {
		v.Used[p.ProcedureID] = append(v.Used[p.ProcedureID], p.Name)
	}
	return s.render(c, status, "procedures", v)
}

// saveProcedure makes one of the procedures' page or of the program's. From the latter the page comes back with the text and the PCs.
func (s *Server) saveProcedure(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	p := catalog.Procedure{ID: form.Get("id"), Name: form.Get("name"), Comment: form.Get("comment")}
	p.Text = strings.ReplaceAll(form.Get("text"), "\r\n", "\n")
	saved, err := s.putProcedure(p)
	switch {
	case err == nil:
		s.log.Info("procedure saved", "procedure", saved.Name, "by", callerOf(c.Request().Context()).name())
		if form.Get("return") == "program" {
			v := url.Values{"pc": form["pc"], "procedure": {saved.ID}, "late": {form.Get("late")}, "did": {"saved"}}
			return s.goTo(c, "/instructions?"+v.Encode())
		}
		return s.goTo(c, "/procedures?did=saved")
	case statusOf(err) == http.StatusInternalServerError:
		return err
	case form.Get("return") == "program":
		f := readProgramForm(form)
		v, pageErr := s.programPage(c, f)
		if pageErr != nil {
			return pageErr
		}
		v.SaveAs, v.Problem, v.Wrong = p.Name, textOf(err), textProblems(p.Text, err)
		return s.render(c, statusOf(err), "program", v)
	}
	return s.proceduresPage(c, statusOf(err), p, err)
}

// putProcedure saves a procedure whose text can be read.
func (s *Server) putProcedure(p catalog.Procedure) (catalog.Procedure, error) {
	if _, err := instruction.Parse(p.Text); err != nil {
		return p, textError(err)
	}
	return s.cfg.Catalog.PutProcedure(p, s.now())
}

func (s *Server) removeProcedure(c echo.Context) error {
	err := s.cfg.Catalog.RemoveProcedure(c.Param("id"))
	switch {
	case err == nil:
		return s.goTo(c, "/procedures?did=removed")
	case statusOf(err) == http.StatusInternalServerError || statusOf(err) == http.StatusNotFound:
		return err
	}
	return s.proceduresPage(c, statusOf(err), catalog.Procedure{}, err)
}
