package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"aula/webui/api"
	"aula/webui/client"
)

// scheduleCommand is `aula schedule`.
type scheduleCommand struct {
	List   scheduleListCommand   `cmd:"" help:"List the procedures that run at times, when next, and what came of the last time."`
	Add    scheduleAddCommand    `cmd:"" help:"Run a procedure once, or on days of the week."`
	Remove scheduleRemoveCommand `cmd:"" help:"Remove a schedule; an operation that it has begun goes on."`
	On     scheduleOnCommand     `cmd:"" help:"Have a schedule run again that was switched off."`
	Off    scheduleOffCommand    `cmd:"" help:"Keep a schedule, and do not run it."`
}

var schedules = named[api.Schedule]{"schedule", "aula schedule list", func(s api.Schedule) (string, string) { return s.Name, s.ID }}

// scheduleListCommand is `aula schedule list`.
type scheduleListCommand struct {
	remote
	jsonFlag
}

// Run lists the schedules.
func (c *scheduleListCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	all, err := server.Schedules(ctx)
	if err != nil {
		return c.explain(err)
	}
	if c.JSON {
		return printJSON(all)
	}
	programs, err := server.Procedures(ctx)
	if err != nil {
		return c.explain(err)
	}
	s, err := fetchScope(ctx, server)
	if err != nil {
		return c.explain(err)
	}
	w := newTable("NAME", "PROCEDURE", "ON", "WHEN", "NEXT", "LAST", "RESULT")
	for _, one := range all {
		procedure := one.ProcedureID
		if i := slices.IndexFunc(programs, func(p api.Procedure) bool { return p.ID == one.ProcedureID }); i >= 0 {
			procedure = programs[i].Name
		}
		next := moment(one.Next)
		if one.Off {
			next = "off"
		}
		w.row(one.Name, procedure, s.places(one), whenOf(one.NewSchedule), next, moment(one.LastRun), one.Result)
	}
	return w.Flush()
}

// moment is a time on the clock of this machine; nothing when there is none.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04")
}

// places are where a schedule runs.
func (s scope) places(one api.Schedule) string {
	var names []string
	for _, id := range one.ClassroomIDs {
		names = append(names, s.room(id))
	}
	for _, id := range one.ComputerIDs {
		names = append(names, s.pc(id))
	}
	return strings.Join(names, ", ")
}

// weekdays by their number in the API.
var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

// whenOf is when a schedule runs, as --once and --weekly take it.
func whenOf(n api.NewSchedule) string {
	if !n.Once.IsZero() {
		return "once " + moment(n.Once)
	}
	var days []string
	for _, d := range n.Days {
		if d >= 0 && d < len(weekdays) {
			days = append(days, weekdays[d])
		}
	}
	return strings.TrimSpace(strings.Join(days, ",") + " " + n.At + " " + n.Zone)
}

// scheduleAddCommand is `aula schedule add`.
type scheduleAddCommand struct {
	remote
	jsonFlag
	Name      string        `arg:"" help:"Name of the schedule."`
	Procedure string        `arg:"" help:"Name of the procedure, or its id."`
	On        []string      `help:"Where: classrooms and computers, by name or id, with commas between them." placeholder:"ROOM|PC"`
	Once      string        `help:"The one time." placeholder:"'2026-12-01 07:00'"`
	Weekly    string        `help:"Days of the week and the time of day." placeholder:"'mon,wed 07:00'"`
	Zone      string        `help:"Time zone, such as Europe/Madrid; that of the appliance when left out, and with --once that of this machine."`
	Missed    time.Duration `help:"For how long a run is made up that was missed because the appliance was off; 0: it is skipped." default:"0"`
	Holidays  bool          `help:"Run on holidays as well."`
}

// Run adds a schedule.
func (c *scheduleAddCommand) Run(ctx context.Context) error {
	n := api.NewSchedule{Name: c.Name, Zone: c.Zone, Holidays: c.Holidays, Missed: int(c.Missed / time.Second)}
	if err := c.times(&n); err != nil {
		return exitError{err, exitNoFile}
	}
	server, p, err := c.procedure(ctx, c.Procedure)
	if err != nil {
		return err
	}
	s, err := fetchScope(ctx, server)
	if err != nil {
		return c.explain(err)
	}
	in, err := s.find(c.On)
	if err != nil {
		return err
	}
	n.ProcedureID = p.ID
	n.ComputerIDs, n.ClassroomIDs = in.ids()
	added, err := server.PutSchedule(ctx, "", n)
	if err != nil {
		return c.explain(err)
	}
	return c.tell(added, "schedule %s runs %s: %s", added.Name, p.Name, whenOf(added.NewSchedule))
}

// times reads when it runs.
func (c *scheduleAddCommand) times(n *api.NewSchedule) (err error) {
	if c.Missed < 0 {
		return fmt.Errorf("--missed %v: it is a time such as 2h, or 0", c.Missed)
	}
	switch {
	case (c.Once == "") == (c.Weekly == ""):
		return errors.New("say when: either --once '2026-12-01 07:00' or --weekly 'mon,wed 07:00'")
	case c.Weekly != "":
		n.Days, n.At, err = parseWeekly(c.Weekly)
		return err
	}
	zone := time.Local
	if c.Zone != "" {
		if zone, err = time.LoadLocation(c.Zone); err != nil {
			return fmt.Errorf("--zone %s: it is not known; write one such as Europe/Madrid", c.Zone)
		}
	}
	n.Once, err = parseMoment(c.Once, zone)
	return err
}

func parseMoment(text string, zone *time.Location) (time.Time, error) {
	for _, form := range []string{"2006-01-02 15:04", "2006-01-02T15:04", time.RFC3339} {
		if t, err := time.ParseInLocation(form, strings.TrimSpace(text), zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("--once %s: write day and time as 2026-12-01 07:00", text)
}

// parseWeekly reads "mon,wed 07:00", "mon-fri 7:30" or "daily 02:00".
func parseWeekly(text string) (days []int, at string, err error) {
	i := strings.LastIndexByte(strings.TrimSpace(text), ' ')
	if i < 0 {
		return nil, "", fmt.Errorf("--weekly %s: write days and the time of day, as 'mon,wed 07:00'", text)
	}
	text = strings.TrimSpace(text)
	t, err := time.Parse("15:04", text[i+1:])
	if err != nil {
		return nil, "", fmt.Errorf("--weekly: time of day %s: write hours and minutes, as 07:00", text[i+1:])
	}
	for word := range strings.SplitSeq(strings.ToLower(text[:i]), ",") {
		first, last, isRange := strings.Cut(strings.TrimSpace(word), "-")
		if first == "daily" && !isRange {
			first, last, isRange = "sun", "sat", true
		}
		if !isRange {
			last = first
		}
		from, to := weekday(first), weekday(last)
		if from < 0 || to < 0 {
			return nil, "", fmt.Errorf("--weekly: day %q: write %s, a range as mon-fri, or daily", strings.TrimSpace(word), strings.Join(weekdays, ", "))
		}
		for d := from; ; d = (d + 1) % len(weekdays) {
			days = append(days, d)
			if d == to {
				break
			}
		}
	}
	slices.Sort(days)
	return slices.Compact(days), t.Format("15:04"), nil
}

// weekday is the number of a day by its English name or at least three letters of it; negative when it is none.
func weekday(word string) int {
	word = strings.TrimSpace(word)
	for d := range weekdays {
		if len(word) >= 3 && strings.HasPrefix(strings.ToLower(time.Weekday(d).String()), word) {
			return d
		}
	}
	return -1
}

// A scheduleArg names a schedule.
type scheduleArg struct {
	remote
	jsonFlag
	Name string `arg:"" help:"Name of the schedule, or its id."`
}

func (a scheduleArg) find(ctx context.Context) (*client.Client, api.Schedule, error) {
	server, err := a.client()
	if err != nil {
		return nil, api.Schedule{}, err
	}
	all, err := server.Schedules(ctx)
	if err != nil {
		return nil, api.Schedule{}, a.explain(err)
	}
	s, err := schedules.find(all, a.Name)
	return server, s, err
}

// turn switches a schedule on or off.
func (a scheduleArg) turn(ctx context.Context, off bool, what string) error {
	server, s, err := a.find(ctx)
	if err != nil {
		return err
	}
	s.Off = off
	s, err = server.PutSchedule(ctx, s.ID, s.NewSchedule)
	if err != nil {
		return a.explain(err)
	}
	return a.tell(s, "schedule %s is %s: %s", s.Name, what, whenOf(s.NewSchedule))
}

// scheduleOnCommand is `aula schedule on`.
type scheduleOnCommand struct{ scheduleArg }

// Run switches a schedule on.
func (c *scheduleOnCommand) Run(ctx context.Context) error { return c.turn(ctx, false, "on") }

// scheduleOffCommand is `aula schedule off`.
type scheduleOffCommand struct{ scheduleArg }

// Run switches a schedule off.
func (c *scheduleOffCommand) Run(ctx context.Context) error { return c.turn(ctx, true, "off") }

// scheduleRemoveCommand is `aula schedule remove`.
type scheduleRemoveCommand struct{ scheduleArg }

// Run removes a schedule.
func (c *scheduleRemoveCommand) Run(ctx context.Context) error {
	server, s, err := c.find(ctx)
	if err != nil {
		return err
	}
	if err := server.RemoveSchedule(ctx, s.ID); err != nil {
		return c.explain(err)
	}
	return c.tell(s, "schedule %s is removed", s.Name)
}
