// Package api holds the types of the REST API under /api/v1: what webui serves and webui/client asks for. It holds
// no behaviour. The OpenAPI 3.1 description at /api/openapi.json is generated from them.
//
// Sizes are bytes, rates byte/s, times RFC 3339 in UTC. Disks and partitions are numbered from 1.
package api

import (
	"time"

	"aula/clientos/protocol"
)

// Version tells what answers.
type Version struct {
	Version string `json:"version" doc:"Version of the appliance"`
	API     string `json:"api" doc:"Version of this API" example:"v1"`
}

// Login asks for a token.
type Login struct {
	Name     string `json:"name" minLength:"1" maxLength:"64"`
	Password string `json:"password" minLength:"1" maxLength:"1024"`
}

// Token is what a login gives: send it as "Authorization: Bearer TOKEN".
type Token struct {
	Token string `json:"token" doc:"Secret; valid for 12 hours after its last use"`
	User  string `json:"user"`
}

// Centre is a school or a faculty.
type Centre struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Classroom is a room of computers.
type Classroom struct {
	ID       string `json:"id"`
	CentreID string `json:"centreID"`
	Name     string `json:"name"`
	// Computers is how many PCs are in it.
	Computers int      `json:"computers"`
	Defaults  Defaults `json:"defaults,omitzero" doc:"What deployments in it begin with"`
	Boot      string   `json:"boot,omitempty" doc:"What its PCs without work boot; empty: what all do"`
}

// NewCentre makes or renames a centre.
type NewCentre struct {
	Name string `json:"name" minLength:"1" maxLength:"128"`
}

// NewClassroom makes or renames a classroom. When renaming, CentreID may be empty.
type NewClassroom struct {
	CentreID string `json:"centreID,omitempty"`
	Name     string `json:"name" minLength:"1" maxLength:"128"`
}

// Computer is a PC that was seen at least once.
type Computer struct {
	ID          string             `json:"id"`
	Name        string             `json:"name"`
	State       string             `json:"state" enum:"pending,accepted"`
	ClassroomID string             `json:"classroomID,omitempty"`
	MACs        []string           `json:"macs"`
	Address     string             `json:"address,omitempty"`
	Inventory   protocol.Inventory `json:"inventory"`
	FirstSeen   time.Time          `json:"firstSeen"`
	LastSeen    time.Time          `json:"lastSeen"`
	// Connected says whether the PC's agent has a session now; Since, when it began.
	Connected bool      `json:"connected"`
	Since     time.Time `json:"since,omitzero"`
	Agent     string    `json:"agent,omitempty" doc:"Version of the agent on the PC"`
	Code      string    `json:"code,omitempty" doc:"Six symbols on the PC's screen while it is pending"`
	// Operation is the one that has the PC now.
	Operation string `json:"operation,omitempty"`
	// Work is how that operation stands on the PC, in words such as "writing".
	Work string `json:"work,omitempty"`

	GroupID  string `json:"groupID,omitempty"`
	Boot     string `json:"boot,omitempty" doc:"What it always boots without work; empty: what its group, its classroom or all do"`
	NextBoot string `json:"nextBoot,omitempty" doc:"What it boots next, once"`
	Reserved string `json:"reserved,omitempty" doc:"Address that DHCP always gives it"`
}

// Placement puts a PC into a classroom under a name. When accepting, an empty name means the next free pc-NN.
type Placement struct {
	ClassroomID string `json:"classroomID" minLength:"1"`
	Name        string `json:"name,omitempty" maxLength:"63"`
}

// Operation is one thing asked for, and how it stands on each PC.
type Operation struct {
	ID         string    `json:"id"`
	Kind       string    `json:"kind" doc:"Of the main instruction: createImage, restoreImage, updateCache, partitionDisk, wakeUp ..."`
	Actor      string    `json:"actor"`
	Created    time.Time `json:"created"`
	Ended      time.Time `json:"ended,omitzero"`
	State      string    `json:"state" doc:"running until all targets ended; then done, failed, cancelled or incomplete"`
	Repository string    `json:"repository,omitempty" doc:"Of the image"`
	Image      string    `json:"image,omitempty"`
	Revision   int       `json:"revision,omitempty"`
	Layout     bool      `json:"layout,omitempty" doc:"The disk's layout is applied first"`
	Whole      bool      `json:"whole,omitempty" doc:"Of the whole disk"`
	// Summary is one sentence for people, such as "7 of 8 verified; 1 failed: partition too small".
	Summary string `json:"summary"`
	// Text is the program, one instruction in a line; empty of operations that were asked for otherwise.
	Text    string   `json:"text,omitempty"`
	Note    string   `json:"note,omitempty" doc:"Why: the name of the procedure or of the schedule that asked"`
	Session string   `json:"session,omitempty" doc:"How its multicast session stands, in words"`
	Targets []Target `json:"targets"`
}

// Over reports whether every PC's part has ended.
func (o Operation) Over() bool { return !o.Ended.IsZero() }

// Target is one PC's part in an Operation.
type Target struct {
	ComputerID string            `json:"computerID"`
	Name       string            `json:"name"`
	State      string            `json:"state"`
	Stage      string            `json:"stage,omitempty"`
	Bytes      int64             `json:"bytes" doc:"Of the stage, done"`
	Total      int64             `json:"total" doc:"Of the stage; 0 when not known"`
	Rate       int64             `json:"rate" doc:"byte/s"`
	Dirty      bool              `json:"dirty,omitempty" doc:"Something was written to the disk"`
	Verified   int64             `json:"verified,omitempty" doc:"Used bytes read back and found equal"`
	Failure    *protocol.Failure `json:"failure,omitempty"`

	Step      int                     `json:"step,omitempty" doc:"Number of the instruction that it is at, from 0"`
	Steps     int                     `json:"steps,omitempty" doc:"How many there are"`
	Statement string                  `json:"statement,omitempty" doc:"Text of the instruction that it is at"`
	Slow      string                  `json:"slow,omitempty" doc:"What it waits for most: network, disk or decompression"`
	Notes     []string                `json:"notes,omitempty" doc:"What was done otherwise than asked, and why"`
	Warnings  []protocol.Failure      `json:"warnings,omitempty" doc:"With the state done: what failed after the restore was proved"`
	Scripts   []protocol.ScriptResult `json:"scripts,omitempty"`

	Started time.Time `json:"started,omitzero"`
	Ended   time.Time `json:"ended,omitzero"`
}

// Capture asks for an image of one partition.
type Capture struct {
	ComputerID string `json:"computerID" minLength:"1"`
	Disk       int    `json:"disk" minimum:"1"`
	Partition  int    `json:"partition" minimum:"1"`
	Repository string `json:"repository,omitempty" doc:"The first one when left out"`
	Image      string `json:"image" minLength:"1" maxLength:"128" doc:"Letters, digits, _ . and -"`
	Compressor string `json:"compressor,omitempty" enum:"ZSTD,LZOP,GZIP" doc:"ZSTD when left out"`
	Level      int    `json:"level,omitempty" doc:"Of the compressor, its default when left out"`
}

// Restore asks for an image on the same partition of each PC.
type Restore struct {
	ComputerIDs []string `json:"computerIDs" minItems:"1"`
	Disk        int      `json:"disk" minimum:"1"`
	Partition   int      `json:"partition,omitempty" minimum:"0" doc:"Not with whole"`
	Repository  string   `json:"repository,omitempty" doc:"The first one that has the image when left out"`
	Image       string   `json:"image" minLength:"1" maxLength:"128"`
	Revision    int      `json:"revision,omitempty" minimum:"0" doc:"The current one when left out"`
	Layout      bool     `json:"layout,omitempty" doc:"First apply the layout of the image's disk: erases the whole disk"`
	Whole       bool     `json:"whole,omitempty" doc:"Write the whole disk: image is one of a disk, or the name of a set of images of one disk"`
	SetDisk     int      `json:"setDisk,omitempty" minimum:"0" doc:"Disk that the images of a set come from, when it has those of several"`
}

// Preflight is what a restore would do to one PC, or why it would not.
type Preflight struct {
	ComputerID string            `json:"computerID"`
	Name       string            `json:"name"`
	Disk       string            `json:"disk" doc:"Model, serial number and size"`
	Loses      []string          `json:"loses" doc:"What will be overwritten"`
	Online     bool              `json:"online" doc:"The PC is connected"`
	Way        string            `json:"way,omitempty" doc:"How the image comes, in words"`
	Notes      []string          `json:"notes,omitempty" doc:"What to know before it begins"`
	Failure    *protocol.Failure `json:"failure,omitempty"`
}

// Power asks PCs to restart, to boot their own disk or to power off.
type Power struct {
	Kind        string   `json:"kind" enum:"reboot,bootOs,poweroff,wakeUp"`
	ComputerIDs []string `json:"computerIDs" minItems:"1"`
}

// User may log in.
type User struct {
	Name    string    `json:"name"`
	Created time.Time `json:"created"`
}

// NewUser makes a user or, with the name of the path, sets a password.
type NewUser struct {
	Name     string `json:"name" minLength:"1" maxLength:"64"`
	Password string `json:"password" minLength:"8" maxLength:"1024"`
}

// NewPassword sets a user's password.
type NewPassword struct {
	Password string `json:"password" minLength:"8" maxLength:"1024"`
}

// Problem is how every error is told (RFC 9457, application/problem+json).
type Problem struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Errors []struct {
		Message  string `json:"message"`
		Location string `json:"location"`
	} `json:"errors,omitempty"`
}
