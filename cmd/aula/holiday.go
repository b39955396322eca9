package main

import (
	"context"
	"fmt"

	"aula/webui/api"
)

// holidayCommand is `aula holiday`.
type holidayCommand struct {
	List   holidayListCommand   `cmd:"" help:"List the days on which weekly schedules do not run."`
	Add    holidayAddCommand    `cmd:"" help:"Add a day, or the days from one to another."`
	Remove holidayRemoveCommand `cmd:"" help:"Remove a holiday."`
}

var holidays = named[api.Holiday]{"holiday", "aula holiday list", func(h api.Holiday) (string, string) { return h.Name, h.ID }}

// holidayListCommand is `aula holiday list`.
type holidayListCommand struct {
	remote
	jsonFlag
}

// Run lists the holidays.
func (c *holidayListCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	all, err := server.Holidays(ctx)
	if err != nil {
		return c.explain(err)
	}
	if c.JSON {
		return printJSON(all)
	}
	w := newTable("NAME", "FIRST", "LAST", "ID")
	for _, h := range all {
		w.row(h.Name, h.First, h.Last, h.ID)
	}
	return w.Flush()
}

// holidayAddCommand is `aula holiday add`.
type holidayAddCommand struct {
	remote
	jsonFlag
	Name  string `arg:"" help:"What day it is."`
	First string `arg:"" help:"The day, as 2026-12-24."`
	Last  string `arg:"" optional:"" help:"The last day of several."`
}

// Run adds a holiday.
func (c *holidayAddCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	h, err := server.AddHoliday(ctx, api.NewHoliday{Name: c.Name, First: c.First, Last: c.Last})
	if err != nil {
		return c.explain(err)
	}
	return c.tell(h, "%s: weekly schedules do not run %s", h.Name, daysOf(h))
}

func daysOf(h api.Holiday) string {
	if h.Last == "" || h.Last == h.First {
		return "on " + h.First
	}
	return fmt.Sprintf("from %s to %s", h.First, h.Last)
}

// holidayRemoveCommand is `aula holiday remove`.
type holidayRemoveCommand struct {
	remote
	jsonFlag
	Name string `arg:"" help:"Name of the holiday, or its id."`
}

// Run removes a holiday.
func (c *holidayRemoveCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	all, err := server.Holidays(ctx)
	if err != nil {
		return c.explain(err)
	}
	h, err := holidays.find(all, c.Name)
	if err != nil {
		return err
	}
	if err := server.RemoveHoliday(ctx, h.ID); err != nil {
		return c.explain(err)
	}
	return c.tell(h, "%s is no holiday any more: weekly schedules run %s", h.Name, daysOf(h))
}
