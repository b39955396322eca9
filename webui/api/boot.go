package api

import "time"

// Network tells what the appliance is on the network that it boots PCs on.
type Network struct {
	Interface string    `json:"interface"`
	Address   string    `json:"address" doc:"With the length of the prefix"`
	Mode      string    `json:"mode" enum:"auto,full,proxy" doc:"How it finds its role"`
	ModeFixed bool      `json:"modeFixed" doc:"The configuration file or the command line sets the mode"`
	Role      string    `json:"role" enum:"full,proxy," doc:"full: leases addresses; proxy: tells PCs what to boot; empty: starting"`
	Asking    bool      `json:"asking" doc:"Somebody has to agree before addresses are leased: POST /api/v1/boot/consent"`
	Probed    time.Time `json:"probed,omitzero" doc:"When other DHCP servers were looked for last"`
	Others    []Other   `json:"others" doc:"Other DHCP servers"`
	Pools     []Pool    `json:"pools" doc:"Addresses to lease, of this network first"`
	Drops     Drops     `json:"drops"`
	Notices   []Notice  `json:"notices"`
}

// Drops counts the DHCP packets that were not answered since the start.
type Drops struct {
	Malformed    uint64 `json:"malformed" doc:"Could not be read"`
	UnknownRelay uint64 `json:"unknownRelay" doc:"Came by relay agents of networks that are not configured"`
	NoSubnet     uint64 `json:"noSubnet" doc:"Came from networks that are not served"`
	Exhausted    uint64 `json:"exhausted" doc:"No address was left"`
	Newcomers    uint64 `json:"newcomers" doc:"Came from more new PCs at a time than are served"`
}

// Other is another DHCP server.
type Other struct {
	Address string    `json:"address"`
	MAC     string    `json:"mac,omitempty"`
	Leases  bool      `json:"leases" doc:"It leases addresses"`
	Boots   bool      `json:"boots" doc:"It tells PCs what to boot"`
	Aula    string    `json:"aula,omitempty" doc:"Name, when it is an Aula"`
	First   time.Time `json:"first,omitzero"`
	Last    time.Time `json:"last,omitzero"`
}

// Pool is a range of addresses to lease.
type Pool struct {
	Network     string `json:"network"`
	First       string `json:"first"`
	Last        string `json:"last"`
	Size        int    `json:"size"`
	Leased      int    `json:"leased"`
	Reserved    int    `json:"reserved"`
	Quarantined int    `json:"quarantined" doc:"Something answers there that has no lease"`
}

// Notice is something that the operator should know of the network.
type Notice struct {
	Key   string    `json:"key"`
	Level string    `json:"level" enum:"info,warning,alarm"`
	Text  string    `json:"text"`
	MAC   string    `json:"mac,omitempty" doc:"When it is about one PC"`
	Since time.Time `json:"since,omitzero"`
	Times int       `json:"times,omitempty" doc:"How often it was told"`
}

// NoticeKey names a notice.
type NoticeKey struct {
	Key string `json:"key" minLength:"1" maxLength:"256"`
}

// NetworkMode is how the appliance finds its role.
type NetworkMode struct {
	Mode string `json:"mode" doc:"auto, full or proxy"`
}

// Boot is one boot of a PC.
type Boot struct {
	MAC        string     `json:"mac"`
	ComputerID string     `json:"computerID,omitempty"`
	Name       string     `json:"name,omitempty" doc:"Of the computer"`
	Classroom  string     `json:"classroom,omitempty"`
	Address    string     `json:"address,omitempty"`
	Relay      string     `json:"relay,omitempty"`
	Firmware   string     `json:"firmware,omitempty" doc:"bios, uefi, uefi-ia32, uefi-arm64 or another"`
	HTTP       bool       `json:"http,omitempty" doc:"UEFI HTTP Boot"`
	IPXE       bool       `json:"ipxe,omitempty" doc:"iPXE in the ROM"`
	Target     string     `json:"target,omitempty" doc:"What it was told to boot: client, disk, menu or none"`
	Why        string     `json:"why,omitempty"`
	State      string     `json:"state" doc:"underway, arrived or stopped"`
	Reason     string     `json:"reason,omitempty" doc:"Where it stopped, why that may be, and what to do"`
	Began      time.Time  `json:"began"`
	Ended      time.Time  `json:"ended,omitzero"`
	Steps      []BootStep `json:"steps"`
}

// BootStep is one step of a boot.
type BootStep struct {
	Name   string    `json:"name" doc:"dhcp, loader, script, kernel, initramfs or agent"`
	Phase  string    `json:"phase" doc:"asked, answered or failed"`
	Detail string    `json:"detail,omitempty"`
	Began  time.Time `json:"began"`
	Last   time.Time `json:"last"`
	Bytes  int64     `json:"bytes,omitempty"`
	Size   int64     `json:"size,omitempty"`
	Times  int       `json:"times,omitempty" doc:"How often it was asked for"`
}

// BootSettings are what all PCs have in common.
type BootSettings struct {
	Accepted string `json:"accepted" doc:"What PCs without work boot: client, disk or menu"`
	Unknown  string `json:"unknown" doc:"What PCs boot that nobody accepted: client, disk, menu or none"`
	// MenuSeconds is -1 for ever.
	MenuSeconds  int  `json:"menuSeconds" doc:"After so many seconds the menu boots the PC's own disk; -1: never"`
	MenuPassword bool `json:"menuPassword" doc:"The entries for technicians need a password"`
}

// BootSettingsEdit changes those of the settings that it names.
type BootSettingsEdit struct {
	Accepted     *string `json:"accepted,omitempty"`
	Unknown      *string `json:"unknown,omitempty"`
	MenuSeconds  *int    `json:"menuSeconds,omitempty" minimum:"-1" maximum:"3600" doc:"0: the usual"`
	MenuPassword *string `json:"menuPassword,omitempty" maxLength:"128" doc:"Empty: none is needed any more"`
}

// BootChoice says what PCs boot that have no work.
type BootChoice struct {
	Target       string   `json:"target" doc:"client, disk or menu; with unknown also none; empty: what is said for the group, the classroom or all"`
	Once         bool     `json:"once,omitempty" doc:"At their next boot only; of groups and classrooms, each PC that is in them now"`
	ComputerIDs  []string `json:"computerIDs,omitempty"`
	GroupIDs     []string `json:"groupIDs,omitempty"`
	ClassroomIDs []string `json:"classroomIDs,omitempty"`
	All          bool     `json:"all,omitempty" doc:"What all PCs of classrooms boot when nothing nearer says otherwise"`
	Unknown      bool     `json:"unknown,omitempty" doc:"PCs that nobody has accepted"`
}

// BootChosen tells of how many PCs something was chosen.
type BootChosen struct {
	Computers int `json:"computers"`
}

// Group is some PCs of a classroom that have something in common.
type Group struct {
	ID          string   `json:"id"`
	ClassroomID string   `json:"classroomID"`
	Name        string   `json:"name"`
	Boot        string   `json:"boot,omitempty" doc:"What its PCs boot; empty: what the classroom does"`
	ComputerIDs []string `json:"computerIDs"`
}

// NewGroup makes a group.
type NewGroup struct {
	ClassroomID string `json:"classroomID" minLength:"1"`
	Name        string `json:"name" minLength:"1" maxLength:"128"`
}

// GroupName renames a group.
type GroupName struct {
	Name string `json:"name" minLength:"1" maxLength:"128"`
}

// GroupMembers puts PCs into a group, or out of theirs.
type GroupMembers struct {
	GroupID     string   `json:"groupID,omitempty" doc:"Empty: out of the group that they are in"`
	ComputerIDs []string `json:"computerIDs" minItems:"1"`
}

// Reservation is the address that DHCP always gives a PC.
type Reservation struct {
	Address string `json:"address,omitempty" doc:"Empty: any"`
}

// Lease is the record of an address.
type Lease struct {
	Address    string    `json:"address"`
	MAC        string    `json:"mac" doc:"Whose it is; of a quarantined address, what was found there or who complained"`
	State      string    `json:"state" doc:"bound, released, quarantined, or reserved for a PC that has no lease"`
	Reserved   bool      `json:"reserved,omitempty" doc:"The address is reserved for this PC"`
	Expires    time.Time `json:"expires,omitzero"`
	ComputerID string    `json:"computerID,omitempty"`
	Name       string    `json:"name,omitempty" doc:"Of the computer"`
}

// Quirks are the rules that there are, and who has which.
type Quirks struct {
	Rules []QuirkRule `json:"rules"`
	PCs   []PCQuirks  `json:"pcs"`
}

// QuirkRule is something that firmware does otherwise than the standards say.
type QuirkRule struct {
	Quirk string `json:"quirk"`
	Does  string `json:"does"`
	For   string `json:"for"`
}

// PCQuirks are those of one network card.
type PCQuirks struct {
	MAC        string   `json:"mac"`
	ComputerID string   `json:"computerID,omitempty"`
	Name       string   `json:"name,omitempty"`
	Quirks     []string `json:"quirks"`
}

// QuirkSet sets the quirks of a network card.
type QuirkSet struct {
	Quirks []string `json:"quirks"`
}
