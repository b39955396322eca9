package webui

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
)

type schedulesPage struct {
	page
	Schedules  []scheduleView
	Procedures []catalog.Procedure
	Holidays   []catalog.Holiday
	Form       scheduleForm
	Rooms      []scopeRoom
	Days       []dayChoice
	Missed     []choice
	Problem    string

	HolidayProblem string
	Holiday        catalog.Holiday
}

// A scheduleView is a schedule as the list shows it.
type scheduleView struct {
	catalog.Schedule
	mark
	Procedure string
	Where     string
	When      string
	Operation string // id, when the last run became one
}

// A scheduleForm is a schedule as the form writes it.
type scheduleForm struct {
	ID, Name, Procedure string
	Rooms, PCs          []string
	How                 string // weekly or once
	Date, At, Zone      string
	Days                []string
	Free, Off           bool
	Missed              string // minutes
}

// A scopeRoom is a classroom to choose, with its PCs.
type scopeRoom struct {
	ID, Name string
	Checked  bool
	PCs      []scopePC
	Open     bool // one of its PCs is chosen
}

type scopePC struct {
	ID, Name string
	Checked  bool
}

type dayChoice struct {
	Value   string
	Label   string
	Checked bool
}

// How the form writes days and times of day.
const (
	formDay  = "2006-01-02"
	formTime = "15:04"
	weekly   = "weekly"
	once     = "once"
)

func missedChoices() []choice {
	return []choice{
		{"0", "is skipped"}, {"60", "is made up within an hour"}, {"240", "is made up within 4 hours"}, {"720", "is made up within 12 hours"},
		{"2880", "is made up within 2 days"},
	}
}

func readScheduleForm(v url.Values) scheduleForm {
	return scheduleForm{ID: v.Get("id"), Name: v.Get("name"), Procedure: v.Get("procedure"), Rooms: v["classroom"], PCs: v["pc"], How: v.Get("how"),
		Date: v.Get("date"), At: v.Get("at"), Zone: strings.TrimSpace(v.Get("zone")), Days: v["day"], Free: v.Get("free") != "",
		Off: v.Get("off") != "", Missed: v.Get("missed")}
}

// scheduleFormOf is the opposite of schedule.
func scheduleFormOf(s catalog.Schedule) scheduleForm {
	f := scheduleForm{ID: s.ID, Name: s.Name, Procedure: s.ProcedureID, Rooms: s.ClassroomIDs, PCs: s.ComputerIDs, How: weekly, At: s.At, Zone: s.Zone,
		Free: s.Free, Off: s.Off, Missed: strconv.Itoa(int(s.Missed / time.Minute))}
	for _, d := range s.Days {
		f.Days = append(f.Days, strconv.Itoa(int(d)))
	}
	if !s.Once.IsZero() {
		at := s.Once.In(zoneOf(s.Zone))
		f.How, f.Date, f.At = once, at.Format(formDay), at.Format(formTime)
	}
	return f
}

// zoneOf is a time zone by name; the server's when it is not known.
func zoneOf(name string) *time.Location {
	if zone, err := time.LoadLocation(name); err == nil && name != "" {
		return zone
	}
	return time.Local
}

// schedule makes of the form what the catalog keeps.
func (f scheduleForm) schedule(actor string) (catalog.Schedule, error) {
	s := catalog.Schedule{
		ID: f.ID, Name: f.Name, ProcedureID: f.Procedure, ClassroomIDs: f.Rooms, ComputerIDs: f.PCs, Zone: f.Zone, Free: f.Free, Off: f.Off, Actor: actor,
	}
	if f.Missed != "" {
		minutes, err := strconv.Atoi(f.Missed)
		if err != nil || minutes < 0 || minutes > 7*24*60 {
			return s, invalid("a missed run is made up for some minutes, and %.40q is no such number", f.Missed)
		}
		s.Missed = time.Duration(minutes) * time.Minute
	}
	if f.Zone != "" {
		if _, err := time.LoadLocation(f.Zone); err != nil {
			return s, invalid("time zone %.40q is not known (write one such as Europe/Madrid, or leave it empty for the server's)", f.Zone)
		}
	}
	if f.How == once {
		at, err := time.ParseInLocation(formDay+" "+formTime, f.Date+" "+f.At, zoneOf(f.Zone))
		if err != nil {
			return s, invalid("write the day as 2026-12-24 and the time as 07:30, not %.40q and %.40q", f.Date, f.At)
		}
		s.Once = at
		return s, nil
	}
	s.At = f.At
	for _, d := range f.Days {
		n, err := strconv.Atoi(d)
		if err != nil {
			return s, invalid("%.40q is no day of the week", d)
		}
		s.Days = append(s.Days, time.Weekday(n))
	}
	return s, nil
}

func (s *Server) showSchedules(c echo.Context) error {
	f := scheduleForm{How: weekly, Procedure: c.QueryParam("procedure"), Rooms: c.QueryParams()["classroom"], PCs: c.QueryParams()["pc"]}
	if id := c.QueryParam("edit"); id != "" {
		p, err := s.cfg.Catalog.Schedule(id)
		if err != nil {
			return err
		}
		f = scheduleFormOf(p)
	}
	v := schedulesPage{Form: f}
	return s.schedulesPage(c, http.StatusOK, v)
}

func (s *Server) schedulesPage(c echo.Context, status int, v schedulesPage) error {
	v.page, v.Missed = s.page(c, "instructions", "Schedules"), missedChoices()
	var err error
	if v.Procedures, err = s.cfg.Catalog.Procedures(); err != nil {
		return err
	}
	if v.Holidays, err = s.cfg.Catalog.Holidays(); err != nil {
		return err
	}
	all, err := s.cfg.Catalog.Schedules()
	if err != nil {
		return err
	}
	names, err := s.scopeNames()
	if err != nil {
		return err
	}
	for _, p := range all {
		v.Schedules = append(v.Schedules, viewSchedule(p, v.Procedures, names))
	}
	for d := time.Monday; d <= time.Saturday+1; d++ { // a week begins on Monday
		value := strconv.Itoa(int(d % 7))
		v.Days = append(v.Days, dayChoice{value, (d % 7).String()[:3], slices.Contains(v.Form.Days, value)})
	}
	if v.Rooms, err = s.scopeRooms(v.Form); err != nil {
		return err
	}
	return s.render(c, status, "schedules", v)
}

// scopeNames are the names of classrooms and PCs by their ids.
func (s *Server) scopeNames() (map[string]string, error) {
	names := map[string]string{}
	rooms, err := s.cfg.Catalog.Classrooms()
	if err != nil {
		return nil, err
	}
	for _, r := range rooms {
		names[r.ID] = r.Name
	}
	computers, err := s.cfg.Catalog.Computers()
	for _, pc := range computers {
		names[pc.ID] = pc.Name
	}
	return names, err
}

// scopeRooms are the classrooms and PCs to choose from.
func (s *Server) scopeRooms(f scheduleForm) ([]scopeRoom, error) {
	rooms, err := s.cfg.Catalog.Classrooms()
	if err != nil {
		return nil, err
	}
	computers, err := s.cfg.Catalog.Computers()
	if err != nil {
		return nil, err
	}
	var out []scopeRoom
	for _, r := range rooms {
		room := scopeRoom{ID: r.ID, Name: r.Name, Checked: slices.Contains(f.Rooms, r.ID)}
		for _, pc := range computers {
			if pc.State == catalog.Accepted && pc.ClassroomID == r.ID {
				checked := slices.Contains(f.PCs, pc.ID)
				room.PCs, room.Open = append(room.PCs, scopePC{pc.ID, pc.Name, checked}), room.Open || checked
			}
		}
		out = append(out, room)
	}
	return out, nil
}

func viewSchedule(p catalog.Schedule, procedures []catalog.Procedure, names map[string]string) scheduleView {
	v := scheduleView{Schedule: p, Procedure: "a procedure that is gone"}
	for _, of := range procedures {
		if of.ID == p.ProcedureID {
			v.Procedure = of.Name
		}
	}
	var where []string
	for _, id := range append(slices.Clone(p.ClassroomIDs), p.ComputerIDs...) {
		where = append(where, cmp.Or(names[id], "(removed)"))
	}
	v.Where, v.When = strings.Join(where, ", "), whenOf(p)
	switch {
	case p.Off:
		v.mark = mark{toneIdle, "off", "Off"}
	case p.Failed:
		v.mark = mark{toneBad, "cross", "Did not run"}
	case p.Next.IsZero():
		v.mark = mark{toneIdle, "check", "Over"}
		if p.LastRun.IsZero() {
			v.mark = mark{toneWork, "clock", "On"}
		}
	default:
		v.mark = mark{toneWork, "clock", "On"}
	}
	if !p.Failed && p.Underway == "" {
		v.Operation = p.Result
	}
	return v
}

// whenOf writes when a schedule runs.
func whenOf(p catalog.Schedule) string {
	zone := ""
	if p.Zone != "" {
		zone = " (" + p.Zone + ")"
	}
	if !p.Once.IsZero() {
		return "once, " + p.Once.In(zoneOf(p.Zone)).Format("2 Jan 2006, 15:04") + zone
	}
	var days []string
	for _, d := range p.Days {
		days = append(days, d.String()[:3])
	}
	when := strings.Join(days, ", ") + " at " + p.At + zone
	if p.Free {
		when += ", on holidays too"
	}
	return when
}

func (s *Server) saveSchedule(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	f := readScheduleForm(form)
	who := callerOf(c.Request().Context()).name()
	p, err := f.schedule(who)
	if err == nil {
		p, err = s.cfg.Catalog.PutSchedule(p, s.now())
	}
	switch {
	case err == nil:
		s.log.Info("schedule saved", "schedule", p.Name, "by", who)
		return s.goTo(c, "/schedules?did=saved")
	case statusOf(err) == http.StatusInternalServerError:
		return err
	}
	return s.schedulesPage(c, statusOf(err), schedulesPage{Form: f, Problem: textOf(err)})
}

// switchSchedule turns one on or off.
func (s *Server) switchSchedule(c echo.Context) error {
	p, err := s.cfg.Catalog.Schedule(c.Param("id"))
	if err != nil {
		return err
	}
	p.Off, p.Actor = !p.Off, callerOf(c.Request().Context()).name()
	if _, err = s.cfg.Catalog.PutSchedule(p, s.now()); err == nil {
		return s.goTo(c, "/schedules?did=saved")
	} else if statusOf(err) == http.StatusInternalServerError {
		return err
	}
	return s.schedulesPage(c, statusOf(err), schedulesPage{Form: scheduleFormOf(p), Problem: textOf(err)})
}

func (s *Server) removeSchedule(c echo.Context) error {
	if err := s.cfg.Catalog.RemoveSchedule(c.Param("id")); err != nil {
		return err
	}
	return s.goTo(c, "/schedules?did=removed")
}

func (s *Server) addHoliday(c echo.Context) error {
	h := catalog.Holiday{Name: c.FormValue("name"), First: c.FormValue("first"), Last: c.FormValue("last")}
	_, err := s.cfg.Catalog.AddHoliday(h)
	switch {
	case err == nil:
		return s.goTo(c, "/schedules?did=added")
	case statusOf(err) == http.StatusInternalServerError:
		return err
	}
	return s.schedulesPage(c, statusOf(err), schedulesPage{Form: scheduleForm{How: weekly}, Holiday: h, HolidayProblem: textOf(err)})
}

func (s *Server) removeHoliday(c echo.Context) error {
	if err := s.cfg.Catalog.RemoveHoliday(c.Param("id")); err != nil {
		return err
	}
	return s.goTo(c, "/schedules?did=removed")
}
