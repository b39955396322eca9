package api

import (
	"time"

	"aula/clientos/disk"
)

// Program asks that PCs carry out instructions.
type Program struct {
	ComputerIDs  []string `json:"computerIDs,omitempty" doc:"PCs, beside those of the classrooms"`
	ClassroomIDs []string `json:"classroomIDs,omitempty" doc:"All PCs that are in them now"`
	Text         string   `json:"text" minLength:"1" maxLength:"65536" doc:"One instruction in a line" example:"deployImage REPO windows11 1 2 MULTICAST 9000:full-duplex:239.194.17.36:90M:20:60"`
	Late         int      `json:"late,omitempty" minimum:"-1" maximum:"604800" doc:"Seconds for which PCs that are not connected may still come in; 1800 when left out, -1 for not at all"`
	Note         string   `json:"note,omitempty" maxLength:"200" doc:"Why, for people"`
}

// Procedure is a program that was saved to be run again.
type Procedure struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Text    string    `json:"text"`
	Comment string    `json:"comment,omitempty"`
	Changed time.Time `json:"changed"`
}

// NewProcedure makes a procedure or, with the id of the path, changes it.
type NewProcedure struct {
	Name    string `json:"name" minLength:"1" maxLength:"128"`
	Text    string `json:"text" minLength:"1" maxLength:"65536"`
	Comment string `json:"comment,omitempty" maxLength:"4096"`
}

// NewSchedule makes a schedule or, with the id of the path, changes it. It runs either once or weekly.
type NewSchedule struct {
	Name         string    `json:"name" minLength:"1" maxLength:"128"`
	ProcedureID  string    `json:"procedureID" minLength:"1"`
	ClassroomIDs []string  `json:"classroomIDs,omitempty" doc:"The PCs that are in them when it runs"`
	ComputerIDs  []string  `json:"computerIDs,omitempty"`
	Once         time.Time `json:"once,omitzero" doc:"The one time, or:"`
	Days         []int     `json:"days,omitempty" doc:"Days of the week, 0 is Sunday"`
	At           string    `json:"at,omitempty" doc:"Time of day" example:"07:30"`
	Zone         string    `json:"zone,omitempty" doc:"IANA time zone; the server's when left out" example:"Europe/Madrid"`
	Holidays     bool      `json:"holidays,omitempty" doc:"Runs on holidays as well"`
	Missed       int       `json:"missed,omitempty" minimum:"0" maximum:"604800" doc:"Seconds for which a run that was missed is made up for; 0: it is skipped"`
	Off          bool      `json:"off,omitempty" doc:"Does not run"`
}

// Schedule runs a procedure at times.
type Schedule struct {
	ID string `json:"id"`
	NewSchedule
	Actor    string    `json:"actor" doc:"User who made or changed it last"`
	Next     time.Time `json:"next,omitzero"`
	LastRun  time.Time `json:"lastRun,omitzero"`
	Result   string    `json:"result,omitempty" doc:"Of the last run: the operation's id, or why there was none"`
	Failed   bool      `json:"failed,omitempty" doc:"There was no operation"`
	Underway string    `json:"underway,omitempty" doc:"The last run is not decided yet: starting, or waiting for PCs that are busy"`
}

// NewHoliday makes a holiday.
type NewHoliday struct {
	Name  string `json:"name" minLength:"1" maxLength:"128"`
	First string `json:"first" doc:"Day" example:"2026-12-24"`
	Last  string `json:"last,omitempty" doc:"Day, included; the first when left out"`
}

// Holiday is a day, or days, on which weekly schedules do not run.
type Holiday struct {
	ID string `json:"id"`
	NewHoliday
}

// NewTemplate makes a template or, with the id of the path, changes it.
type NewTemplate struct {
	Name   string      `json:"name" minLength:"1" maxLength:"128"`
	Scheme disk.Scheme `json:"scheme"`
}

// Template is a saved way to partition a disk.
type Template struct {
	ID string `json:"id"`
	NewTemplate
}

// Script is run on each PC after a restore of an image, before that of the classroom.
type Script struct {
	Text string `json:"text" maxLength:"65536" doc:"Empty to have none"`
}

// Defaults are what the deployments of a classroom begin with.
type Defaults struct {
	Protocol  string `json:"protocol,omitempty" doc:"UNICAST, MULTICAST or TORRENT; MULTICAST when left out"`
	Direct    bool   `json:"direct,omitempty" doc:"Without the cache"`
	Multicast string `json:"multicast,omitempty" example:"9000:full-duplex:239.194.17.36:90M:20:60"`
	Torrent   string `json:"torrent,omitempty" example:"peer:60"`
	Fallback  string `json:"fallback,omitempty" doc:"Of a PC without a cache or without room: UNICAST, MULTICAST or NONE"`
	Script    string `json:"script,omitempty" maxLength:"65536" doc:"Run on each PC after a restore"`
}
