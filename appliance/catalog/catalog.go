// Package catalog holds what exists: centres, classrooms, computers, image objects, users and settings, in one
// bbolt file with a versioned schema. It is not about what is being done (appliance/operation) nor about who
// is connected (appliance/roster), though it keeps their records for them as opaque bytes.
//
// Every method that changes something returns after the change is on stable storage.
package catalog

import (
	"errors"
	"time"

	"aula/clientos/protocol"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("not in the catalog")
	ErrExists   = errors.New("already in the catalog")
	ErrInvalid  = errors.New("not valid")
	ErrInUse    = errors.New("still in use")
)

// A Centre is a school or a faculty.
type Centre struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// A Classroom is a room of computers.
type Classroom struct {
	ID       string `json:"id"`
	CentreID string `json:"centreID"`
	Name     string `json:"name"`
}

// States of a Computer.
const (
	Pending  = protocol.Pending
	Accepted = protocol.Accepted
)

// Next boots of a Computer.
const (
	BootClientOS = "client" // the client OS, the default
	BootDisk     = "disk"   // its own disk, once
)

// A Computer is a PC that was seen at least once.
type Computer struct {
	ID          string             `json:"id"`
	Name        string             `json:"name"`
	State       string             `json:"state"` // Pending or Accepted
	ClassroomID string             `json:"classroomID,omitempty"`
	MACs        []string           `json:"macs"` // wired, lower case with colons; the first booted
	Address     string             `json:"address,omitempty"`
	Inventory   protocol.Inventory `json:"inventory"`
	NextBoot    string             `json:"nextBoot,omitempty"`
	FirstSeen   time.Time          `json:"firstSeen"`
	LastSeen    time.Time          `json:"lastSeen"`
}

// An ImageObject is what the operator says of an image; the file is imagestore's. The two are linked by Name.
type ImageObject struct {
	Name        string `json:"name"`        // canonical
	DisplayName string `json:"displayName"` // for people
	Comments    string `json:"comments,omitempty"`
}

// A User may log in.
type User struct {
	Name         string    `json:"name"`
	PasswordHash string    `json:"-"` // argon2id in PHC form; never leaves the server
	Created      time.Time `json:"created"`
}

// A Catalog is an open catalog file. Its methods are safe for concurrent use.
type Catalog struct{}

// Open opens or makes the catalog at path and migrates it to this version's schema in one transaction. A file of a
// newer schema, or one that another process holds, is refused with an error that says so.
func Open(path string) (*Catalog, error) { return nil, nil }

// Close closes the file.
func (c *Catalog) Close() error { return nil }

// Watch calls changed after each change of what exists (not of records), until stop is called. changed must not block.
func (c *Catalog) Watch(changed func()) (stop func()) { return func() {} }

// Centres returns all, by name.
func (c *Catalog) Centres() ([]Centre, error) { return nil, nil }

// AddCentre makes a centre; names are unique, without regard to case.
func (c *Catalog) AddCentre(name string) (Centre, error) { return Centre{}, nil }

// RenameCentre renames one.
func (c *Catalog) RenameCentre(id, name string) error { return nil }

// RemoveCentre removes a centre without classrooms, else ErrInUse.
func (c *Catalog) RemoveCentre(id string) error { return nil }

// Classrooms returns all, by name.
func (c *Catalog) Classrooms() ([]Classroom, error) { return nil, nil }

// Classroom returns one, or ErrNotFound.
func (c *Catalog) Classroom(id string) (Classroom, error) { return Classroom{}, nil }

// AddClassroom makes a classroom in a centre; names are unique within it.
func (c *Catalog) AddClassroom(centreID, name string) (Classroom, error) { return Classroom{}, nil }

// RenameClassroom renames one.
func (c *Catalog) RenameClassroom(id, name string) error { return nil }

// RemoveClassroom removes a classroom without computers, else ErrInUse.
func (c *Catalog) RemoveClassroom(id string) error { return nil }

// Computers returns all: pending first by time of arrival, then accepted by name in natural order (pc-2 before pc-10).
func (c *Catalog) Computers() ([]Computer, error) { return nil, nil }

// Computer returns one, or ErrNotFound.
func (c *Catalog) Computer(id string) (Computer, error) { return Computer{}, nil }

// ComputerByMAC returns the computer that has the address among its own, or ErrNotFound.
func (c *Catalog) ComputerByMAC(mac string) (Computer, error) { return Computer{}, nil }

// Observe records what an agent said of its PC and returns the computer: the known one (matched by MACs, then by
// SMBIOS UUID and serial together) or a new pending one. The number of pending computers is bounded by MaxPending; beyond
// it the oldest pending one that was not seen since is dropped.
func (c *Catalog) Observe(mac, address string, inv protocol.Inventory, now time.Time) (Computer, error) {
	return Computer{}, nil
}

// MaxPending bounds the computers that wait to be accepted.
const MaxPending = 1000

// AcceptComputer moves a pending computer into a classroom under a name that is unique there; an empty name means the next
// free pc-NN.
func (c *Catalog) AcceptComputer(id, classroomID, name string) (Computer, error) {
	return Computer{}, nil
}

// UpdateComputer renames or moves an accepted computer.
func (c *Catalog) UpdateComputer(id, classroomID, name string) (Computer, error) {
	return Computer{}, nil
}

// SetNextBoot says what the computer boots next.
func (c *Catalog) SetNextBoot(id, target string) error { return nil }

// TakeNextBoot returns what the computer boots now and resets a once-only choice.
func (c *Catalog) TakeNextBoot(id string) (string, error) { return BootClientOS, nil }

// RemoveComputer forgets a computer.
func (c *Catalog) RemoveComputer(id string) error { return nil }

// ImageObjects returns all, by name.
func (c *Catalog) ImageObjects() ([]ImageObject, error) { return nil, nil }

// PutImageObject makes or replaces one.
func (c *Catalog) PutImageObject(o ImageObject) error { return nil }

// RemoveImageObject removes one.
func (c *Catalog) RemoveImageObject(name string) error { return nil }

// Users returns all, by name.
func (c *Catalog) Users() ([]User, error) { return nil, nil }

// User returns one, or ErrNotFound.
func (c *Catalog) User(name string) (User, error) { return User{}, nil }

// AddUser makes a user, or ErrExists.
func (c *Catalog) AddUser(u User) error { return nil }

// AddFirstUser makes the first user, or ErrExists when there is any: two people at the set-up page make one account.
func (c *Catalog) AddFirstUser(u User) error { return nil }

// SetPassword replaces a user's hash.
func (c *Catalog) SetPassword(name, hash string) error { return nil }

// A RecordKind is a family of records that the catalog keeps for other rooms without knowing what is in them.
type RecordKind string

// The families.
const (
	Operations RecordKind = "operations" // appliance/operation
	Enrolments RecordKind = "enrolments" // appliance/roster: agents' keys
	Sessions   RecordKind = "sessions"   // webui: console sessions, by hash of their token
)

// PutRecord stores one record.
func (c *Catalog) PutRecord(kind RecordKind, id string, data []byte) error { return nil }

// Record returns one, or ErrNotFound.
func (c *Catalog) Record(kind RecordKind, id string) ([]byte, error) { return nil, ErrNotFound }

// DeleteRecord removes one; a missing one is no error.
func (c *Catalog) DeleteRecord(kind RecordKind, id string) error { return nil }

// EachRecord calls f for every record of a kind in the order of their ids, until f returns an error.
func (c *Catalog) EachRecord(kind RecordKind, f func(id string, data []byte) error) error { return nil }
