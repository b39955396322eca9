package webui

import (
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/labstack/echo/v4"

	"aula/appliance/upkeep"
)

// A taskView is long work on repositories as lists and its own page show it.
type taskView struct {
	upkeep.Task
	mark
	Key     string
	Percent int
	Amount  string
	Rate    string
	Left    string
	Took    string
	Moving  bool
}

func viewTask(t upkeep.Task, now time.Time) taskView {
	v := taskView{Task: t, Key: "task-" + t.ID, Percent: -1, Moving: t.State == upkeep.Running}
	end := t.Ended
	if v.Moving {
		end = now
		v.Percent, v.Amount = percent(t.Done, t.Total), amount(t.Done, t.Total)
		if spent := now.Sub(t.Started); spent >= time.Second && t.Done > 0 {
			rate := int64(float64(t.Done) / spent.Seconds())
			v.Rate, v.Left = perSecond(rate), left(t.Done, t.Total, rate)
		}
	}
	v.Took = took(max(0, end.Sub(t.Started)))
	switch t.State {
	case upkeep.Running:
		v.mark = mark{toneWork, "run", "Running"}
	case upkeep.Done:
		v.mark = mark{toneGood, "check", "Done"}
		if len(t.Warnings) > 0 {
			v.mark = mark{toneWarn, "warn", "Done, with warnings"}
		}
	case upkeep.Failed:
		v.mark = mark{toneBad, "cross", "Failed"}
	default:
		v.mark = mark{toneWarn, "stop", "Cancelled"}
	}
	return v
}

// Path is the task's page.
func (v taskView) Path() string { return "/tasks/" + url.PathEscape(v.ID) }

func (v taskView) shape() string {
	return fmt.Sprint(v.mark, v.Title, v.Stage, v.Problem, len(v.Results), len(v.Warnings), v.Percent < 0)
}

func (v taskView) numbers() string { return fmt.Sprint(v.Percent, v.Amount, v.Rate, v.Left) }

// PercentText is "42 %", or nothing.
func (v taskView) PercentText() string { return percentText(v.Percent) }

func (v taskView) fields() map[string]string {
	return map[string]string{"percent": v.PercentText(), "amount": v.Amount, "rate": v.Rate, "left": v.Left, "took": v.Took}
}

type taskPage struct {
	page
	Task    taskView
	Problem string
}

func (s *Server) showTask(c echo.Context) error { return s.taskPage(c, http.StatusOK, "") }

func (s *Server) taskPage(c echo.Context, status int, problem string) error {
	v := taskPage{page: s.page(c, "work", ""), Problem: problem}
	t, err := s.cfg.Upkeep.Task(c.Param("id"))
	if err != nil {
		return err
	}
	v.Task = viewTask(t, s.now())
	v.Title, v.Path, v.Topics = t.Title, v.Task.Path(), []string{allTasks}
	return s.render(c, status, "task", v)
}

func (s *Server) stopTask(c echo.Context) error {
	id := c.Param("id")
	if err := s.cancelTask(c.Request().Context(), id); err != nil {
		if status := statusOf(err); status == http.StatusInternalServerError || status == http.StatusNotFound {
			return err
		}
		return s.taskPage(c, statusOf(err), textOf(err))
	}
	return s.goTo(c, "/tasks/"+url.PathEscape(id))
}

func (s *Server) verifyEverything(c echo.Context) error {
	t, err := s.cfg.Upkeep.Verify(callerOf(c.Request().Context()).name(), upkeep.ImageRef{})
	switch {
	case err == nil:
		return s.goTo(c, "/tasks/"+url.PathEscape(t.ID))
	case statusOf(err) == http.StatusInternalServerError:
		return err
	}
	return s.repositoriesPage(c, statusOf(err), repositoriesPage{Problem: textOf(err)})
}
