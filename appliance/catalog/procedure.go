package catalog

import (
	"time"

	"aula/clientos/disk"
)

// A Procedure is a program of instructions that was saved to be run again.
type Procedure struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"` // unique, without regard to case
	Text    string    `json:"text"` // in the language of clientos/instruction
	Comment string    `json:"comment,omitempty"`
	Changed time.Time `json:"changed"`
}

// A Schedule runs a procedure at times.
type Schedule struct {
	ID          string `json:"id"`
	Name        string `json:"name"` // unique, without regard to case
	ProcedureID string `json:"procedureID"`
	// ClassroomIDs and ComputerIDs are where it runs: the PCs that are in those rooms then, and these.
	ClassroomIDs []string `json:"classroomIDs,omitempty"`
	ComputerIDs  []string `json:"computerIDs,omitempty"`

	Once time.Time      `json:"once,omitzero"`      // the one time, or
	Days []time.Weekday `json:"days,omitempty"`     // the days of the week
	At   string         `json:"at,omitempty"`       // and the time of day there, as 07:30
	Zone string         `json:"zone,omitempty"`     // IANA time zone; empty: the server's
	Free bool           `json:"holidays,omitempty"` // runs on holidays as well
	// Missed says what becomes of a run whose time came while the appliance was off: skipped when 0, else made up for that long afterwards.
	Missed time.Duration `json:"missed,omitempty"`
	Off    bool          `json:"off,omitempty"` // does not run

	Actor   string    `json:"actor"`            // user who made or changed it last
	Next    time.Time `json:"next,omitzero"`    // of the last reckoning
	LastRun time.Time `json:"lastRun,omitzero"` // due time of the last run, and what became of it
	Result  string    `json:"result,omitempty"` // the operation's ID, or why there was none
	Failed  bool      `json:"failed,omitempty"` // there was none
}

// A Holiday is a day, or days, on which schedules do not run.
type Holiday struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	First string `json:"first"` // day, as 2026-12-24
	Last  string `json:"last"`  // day, included
}

// A SchemeTemplate is a saved way to partition a disk.
type SchemeTemplate struct {
	ID     string      `json:"id"`
	Name   string      `json:"name"` // unique, without regard to case
	Scheme disk.Scheme `json:"scheme"`
}
