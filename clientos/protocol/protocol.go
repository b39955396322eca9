// Package protocol is what the appliance's roster and the agent on a PC say to each other. Both import
// it, so that neither imports the other; it holds types, their validation and the derivation of the pairing code. How messages
// travel is in its room wire.
//
// # Connection
//
// The agent opens one WebSocket to wss://SERVER/agent/v1/session (TLS 1.3, the server's public key pinned by
// its SHA-256, a self-signed client certificate made afresh at each boot) and keeps it open. Each message is
// one JSON Message with exactly one of its fields set. The agent speaks first, with Hello; the server answers
// with Welcome, then sends instructions. The agent runs one instruction at a time and sends Reports. When the
// connection breaks the agent dials again for ever (with growing, jittered pauses), says Hello with the
// same Boot and without the ticket, and names in Running the instruction that it holds; work in progress
// never stops for a lost connection.
//
// # Bytes
//
// Image bytes go beside the session, over plain HTTPS requests of the same TLS identity:
//
//	GET  /agent/v1/images/{name}/{revision}/image?repository={repository}
//	                                                 the image file; ranges are honoured
//	GET  /agent/v1/images/{name}/{revision}/{part}?repository={repository}
//	                                                 what belongs to it: chunks, map, torrent
//	POST /agent/v1/sessions/{instruction}            joins the multicast session of an instruction (Session)
//	PUT  /agent/v1/captures/{instruction}/layout     the JSON of disk.Layout
//	PUT  /agent/v1/captures/{instruction}/image      the image file, chunked; the trailer
//	                                                 Aula-Blake3 carries the hexadecimal digest
//	                                                 of the body, without which nothing is published
//	PUT  /agent/v1/captures/{instruction}/image?partition={partition}
//	                                                 the same, of one partition of a whole disk: all are
//	                                                 published together after the last one
//
// An image may name another address of the server to be fetched from; the key there is the same.
//
// The server answers 403 to a PC that has no instruction naming that image or capture, and errors as a JSON
// Failure. A Failure is its last word, except with the statuses 403, 429, 500 and 503: those time may cure, as when a
// server has just started. The layout comes before the image; an image without it is answered 409, and one that
// the repository has no room for 507, before its first byte when the agent waits for "100 Continue".
package protocol

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"aula/clientos/disk"
)

// Paths and names that both sides use.
const (
	SessionPath   = "/agent/v1/session"
	ImagesPath    = "/agent/v1/images/"
	CapturesPath  = "/agent/v1/captures/"
	DigestTrailer = "Aula-Blake3"
	// RepositoryQuery is the parameter of a request for an image that says which repository has it.
	RepositoryQuery = "repository"
	// PartitionQuery is the parameter of an upload that says which partition of a whole disk the image is of.
	PartitionQuery = "partition"
)

// Kernel command line parameters and files by which the boot loader's configuration tells the agent where it is.
const (
	ServerParam = "aula.server" // HOST:PORT of the agents' TLS listener
	TicketParam = "aula.ticket" // the one-use ticket of this boot
	MACParam    = "aula.mac"    // address of the NIC that booted, lower case with colons
	PinFile     = "/etc/aula/pin"
)

// PingInterval is how often each side sends a WebSocket ping; a side that hears nothing for
// SilenceLimit closes the connection. Lost contact must show within 60 s.
const (
	PingInterval = 10 * time.Second
	SilenceLimit = 30 * time.Second
	// ReportInterval is the longest time between two reports of a running instruction.
	ReportInterval = 250 * time.Millisecond
)

// A Message is one frame of the session. Exactly one field is set.
type Message struct {
	Hello     *Hello     `json:"hello,omitempty"`     // agent -> server, first
	Welcome   *Welcome   `json:"welcome,omitempty"`   // server -> agent: answer to Hello, and whenever name, classroom or state change
	Inventory *Inventory `json:"inventory,omitempty"` // agent -> server: what the disks hold has changed
	Instruct  *Instruct  `json:"instruct,omitempty"`  // server -> agent
	Cancel    *Cancel    `json:"cancel,omitempty"`    // server -> agent
	Report    *Report    `json:"report,omitempty"`    // agent -> server
	Settled   *Settled   `json:"settled,omitempty"`   // server -> agent: the final report is on the server's disk
}

// A Hello opens a session.
type Hello struct {
	Version   string    `json:"version"`          // of the agent
	Boot      string    `json:"boot"`             // random, made once per boot
	Ticket    string    `json:"ticket,omitempty"` // the first time in a boot only
	MAC       string    `json:"mac"`              // NIC that booted
	Inventory Inventory `json:"inventory"`
	Running   *Report   `json:"running,omitempty"` // the last report of an instruction that is running or not yet settled
}

// States of a PC in the roster, as the agent needs them.
const (
	Pending  = "pending"  // waits for the operator to accept it
	Accepted = "accepted" // belongs to a classroom and obeys
)

// A Welcome tells the agent who it is.
type Welcome struct {
	State     string    `json:"state"` // Pending or Accepted
	Computer  string    `json:"computer,omitempty"`
	Classroom string    `json:"classroom,omitempty"`
	Code      string    `json:"code,omitempty"` // six symbols shown on the PC and in the console while Pending
	Time      time.Time `json:"time"`
}

// An Inventory is what a PC is made of.
type Inventory struct {
	Firmware   string      `json:"firmware"` // "bios" or "uefi"
	SecureBoot bool        `json:"secureBoot,omitempty"`
	Vendor     string      `json:"vendor,omitempty"`
	Product    string      `json:"product,omitempty"`
	Serial     string      `json:"serial,omitempty"`
	UUID       string      `json:"uuid,omitempty"`
	Board      string      `json:"board,omitempty"`
	CPU        string      `json:"cpu,omitempty"`
	Cores      int         `json:"cores,omitempty"`
	Memory     int64       `json:"memory,omitempty"` // bytes
	NICs       []NIC       `json:"nics"`
	Disks      []disk.Disk `json:"disks"`
	Cache      *CacheState `json:"cache,omitempty"` // nil without a cache partition
}

// A NIC is a wired network card.
type NIC struct {
	Name   string `json:"name"`
	MAC    string `json:"mac"` // lower case with colons
	Driver string `json:"driver,omitempty"`
	Mbit   int    `json:"mbit,omitempty"` // link speed in Mbit/s, 0 without link
	Link   bool   `json:"link"`
}

// Kinds of instructions, with OpenGnsys' names where it has one.
const (
	CreateImage   = "createImage"
	RestoreImage  = "restoreImage"
	UpdateCache   = "updateCache"        // the images of Parts come into the cache, and nowhere else
	DeleteCached  = "deleteCachedImages" // the named images are removed from the cache
	PartitionDisk = "partitionDisk"      // table, filesystems and cache, as Scheme says
	ConfigureOS   = "configureOs"        // Configuration alone, on Parts
	Reboot        = "reboot"             // and boot whatever the server then says
	BootDisk      = "bootOs"             // boot the PC's own disk: the server has noted it, the agent only reboots
	PowerOff      = "poweroff"           //
)

// An Instruct is one thing to do. The agent refuses what it does not know.
type Instruct struct {
	ID        string   `json:"id"` // unique for ever; reports carry it
	Kind      string   `json:"kind"`
	Disk      disk.Ref `json:"disk,omitzero"`
	Partition int      `json:"partition,omitempty"` // with CreateImage
	Capture   *Capture `json:"capture,omitempty"`   // with CreateImage
	Parts     []Part   `json:"parts,omitempty"`     // with RestoreImage, UpdateCache, ConfigureOS
	Layout    []byte   `json:"layout,omitempty"`    // with RestoreImage: JSON of disk.Layout to apply to the whole disk first
	// Fit adapts the layout to a disk of another size, and leaves the cache of the PC in its place; Grow is the partition that takes what a larger disk has
	// more, 0 for the last that can.
	Fit  bool `json:"fit,omitempty"`
	Grow int  `json:"grow,omitempty"`
	// Delivery, with RestoreImage and UpdateCache, says how the images come; nil for a stream straight to the disk.
	Delivery *Delivery `json:"delivery,omitempty"`
	// Configuration, with RestoreImage, is for after the proof.
	Configuration *Configuration `json:"configuration,omitempty"`
	Computer      string         `json:"computer,omitempty"` // name of the PC and of its classroom, for scripts
	Classroom     string         `json:"classroom,omitempty"`
	Cached        []string       `json:"cached,omitempty"` // with DeleteCached: names of images
	Scheme        *disk.Scheme   `json:"scheme,omitempty"` // with PartitionDisk
	Issued        time.Time      `json:"issued"`
}

// A Part is an image and the place on the disk to which it is restored.
type Part struct {
	Partition int   `json:"partition"` // 0: the whole disk, for an image of a disk, which is then the only part and has no layout
	Image     Image `json:"image"`
}

// An Image names the image to restore, immutable by repository, name and revision.
type Image struct {
	Repository    string `json:"repository,omitempty"`
	Server        string `json:"server,omitempty"` // HOST or HOST:PORT to fetch it from, empty for where the session is
	Name          string `json:"name"`
	Revision      int    `json:"revision"`
	Digest        string `json:"digest,omitempty"` // BLAKE3 of the file, hexadecimal
	FileBytes     int64  `json:"fileBytes"`
	UsedBytes     int64  `json:"usedBytes"`
	RequiredBytes int64  `json:"requiredBytes"` // the partition must have as many
	Filesystem    string `json:"filesystem"`
	SectorSize    int    `json:"sectorSize,omitempty"` // of the disk it comes from, 0 when unknown
}

// A Capture says how to make an image.
type Capture struct {
	Repository string `json:"repository,omitempty"` // where the server puts it
	Name       string `json:"name"`
	Compressor string `json:"compressor,omitempty"` // by OpenGnsys' name: ZSTD (also when empty), LZOP or GZIP
	Level      int    `json:"level,omitempty"`      // of the compressor, 0 for its default
	// Partitions, of a capture of a whole disk, are those of which images are made: each is called NAME-pN, and together they are the set NAME.
	Partitions []int `json:"partitions,omitempty"`
}

// ImageName is the name of the image of a partition: that of the capture, or of one in its set.
func (c Capture) ImageName(partition int) string {
	if len(c.Partitions) == 0 {
		return c.Name
	}
	return fmt.Sprintf("%s-p%d", c.Name, partition)
}

// UsedBytes is how many bytes a restore writes and must prove, over all its parts.
func (i Instruct) UsedBytes() int64 {
	var sum int64
	for _, p := range i.Parts {
		sum += p.Image.UsedBytes
	}
	return sum
}

// FileBytes is how many bytes the files of the images take.
func (i Instruct) FileBytes() int64 {
	var sum int64
	for _, p := range i.Parts {
		sum += p.Image.FileBytes
	}
	return sum
}

// Writes tells whether the instruction changes what is on a disk, apart from the cache.
func (i Instruct) Writes() bool {
	return i.Kind == RestoreImage || i.Kind == PartitionDisk || i.Kind == ConfigureOS
}

// Check refuses an instruction that an agent must not even begin.
func (i Instruct) Check() error {
	if i.ID == "" {
		return fmt.Errorf("instruction without an identifier")
	}
	switch i.Kind {
	case Reboot, BootDisk, PowerOff:
		return nil
	case UpdateCache:
		return i.checkImages()
	case DeleteCached:
		if len(i.Cached) == 0 || len(i.Cached) > maxPartitions {
			return fmt.Errorf("instruction %s: %s names %d images, want 1 to %d", i.ID, i.Kind, len(i.Cached), maxPartitions)
		}
		return nil
	case CreateImage, RestoreImage, ConfigureOS, PartitionDisk:
	default:
		return fmt.Errorf("instruction %s: unknown kind %q", i.ID, i.Kind)
	}
	if i.Disk.Number < 1 || i.Disk.Bytes <= 0 {
		return fmt.Errorf("instruction %s: %s must name a disk and its size", i.ID, i.Kind)
	}
	switch i.Kind {
	case RestoreImage:
		return errors.Join(i.checkImages(), i.checkPlaces())
	case ConfigureOS:
		if i.Configuration == nil || i.Configuration.Empty() {
			return fmt.Errorf("instruction %s: configureOs with nothing to do", i.ID)
		}
		return i.checkPlaces()
	case PartitionDisk:
		if i.Scheme == nil {
			return fmt.Errorf("instruction %s: partitionDisk without a scheme", i.ID)
		}
		return i.Scheme.Check()
	}
	if i.Capture == nil || i.Capture.Name == "" || i.Partition < 1 && len(i.Capture.Partitions) == 0 {
		return fmt.Errorf("instruction %s: createImage without a partition and an image name", i.ID)
	}
	return i.Capture.check(i)
}

// check refuses a capture of partitions that are none.
func (c Capture) check(i Instruct) error {
	for n, number := range c.Partitions {
		if number < 1 || number > maxPartition || slices.Contains(c.Partitions[:n], number) {
			return fmt.Errorf("instruction %s: createImage of partitions %v of a disk", i.ID, c.Partitions)
		}
	}
	if len(c.Partitions) > 0 && i.Partition != 0 {
		return fmt.Errorf("instruction %s: createImage of partition %d and of the whole disk", i.ID, i.Partition)
	}
	return nil
}

// checkImages refuses images that cannot be fetched.
func (i Instruct) checkImages() error {
	if len(i.Parts) == 0 || len(i.Parts) > maxPartitions {
		return fmt.Errorf("instruction %s: %s of %d images, want 1 to %d", i.ID, i.Kind, len(i.Parts), maxPartitions)
	}
	for _, p := range i.Parts {
		switch {
		case p.Image.Name == "" || p.Image.Revision < 1:
			return fmt.Errorf("instruction %s: %s without an image and its revision", i.ID, i.Kind)
		case p.Image.UsedBytes < 0 || p.Image.RequiredBytes < 0 || p.Image.FileBytes < 0:
			return fmt.Errorf("instruction %s: image %s has a negative size", i.ID, p.Image.Name)
		}
	}
	if i.Delivery != nil {
		if err := i.Delivery.Check(); err != nil {
			return fmt.Errorf("instruction %s: %w", i.ID, err)
		}
	}
	if i.Configuration != nil {
		if err := i.Configuration.Check(); err != nil {
			return fmt.Errorf("instruction %s: %w", i.ID, err)
		}
	}
	return nil
}

// checkPlaces refuses places on a disk that cannot be told apart.
func (i Instruct) checkPlaces() error {
	seen := map[int]bool{}
	for _, p := range i.Parts {
		switch {
		case p.Partition < 0 || p.Partition > maxPartition:
			return fmt.Errorf("instruction %s: partition number %d is not from 1 to %d", i.ID, p.Partition, maxPartition)
		case p.Partition == 0 && (len(i.Parts) > 1 || len(i.Layout) > 0):
			return fmt.Errorf("instruction %s: image %s goes to the whole disk, so no other image and no layout can", i.ID, p.Image.Name)
		case seen[p.Partition]:
			return fmt.Errorf("instruction %s: two images for partition %d", i.ID, p.Partition)
		}
		seen[p.Partition] = true
	}
	return nil
}

// A Cancel asks the agent to stop an instruction at the next safe point.
type Cancel struct {
	ID string `json:"id"`
}

// A Settled tells the agent that it may forget an instruction.
type Settled struct {
	ID string `json:"id"`
}

// Stages of an instruction, in the order in which they come.
const (
	StagePreflight    = "preflight"    // checks; nothing written yet
	StagePartitioning = "partitioning" // applying the layout
	StageReading      = "reading"      // capture: partition -> server
	StagePublishing   = "publishing"   // capture: the server checks and publishes
	StageWriting      = "writing"      // restore: server -> partition
	StageVerifying    = "verifying"    // restore: partition read back and compared
	StageFinishing    = "finishing"    // boot sectors, kernel's view of the table
	StageWaiting      = "waiting"      // for the multicast session to begin
	StageCaching      = "caching"      // server -> cache
	StageFormatting   = "formatting"   // making filesystems
	StageConfiguring  = "configuring"  // Configuration
	StageSharing      = "sharing"      // complete, and given to others by BitTorrent for a while
)

// States of an instruction on a PC.
const (
	Running   = "running"
	Done      = "done"
	Failed    = "failed"
	Cancelled = "cancelled"
)

// A Report tells how an instruction stands. The last one for an instruction has State Done, Failed or Cancelled
// and is repeated until the server says Settled.
type Report struct {
	ID      string   `json:"id"`  // of the instruction
	Seq     uint64   `json:"seq"` // grows with each report of the boot
	State   string   `json:"state"`
	Stage   string   `json:"stage"`
	Bytes   int64    `json:"bytes"`             // of the stage, done
	Total   int64    `json:"total"`             // of the stage, 0 when not known
	Rate    int64    `json:"rate"`              // byte/s over the last seconds
	Dirty   bool     `json:"dirty"`             // something has been written to the disk by this instruction
	Failure *Failure `json:"failure,omitempty"` // with State Failed
	// Verified is, with State Done of a restore, the number of used bytes read back from the target disk
	// and found equal to the image; of UpdateCache, the bytes of the files in the cache, read back now or at the time that a note tells.
	Verified int64 `json:"verified,omitempty"`
	// Slow says what the stage waits for most, SlowNetwork, SlowDisk or SlowDecoding; empty when it cannot be told.
	Slow string `json:"slow,omitempty"`
	// Notes tell people what was done otherwise than asked, and why: "no room in the cache: restored directly by UNICAST".
	Notes []string `json:"notes,omitempty"`
	// Warnings are, with State Done, the points of the Configuration that failed.
	Warnings []Failure      `json:"warnings,omitempty"`
	Scripts  []ScriptResult `json:"scripts,omitempty"`
}

// What slows a stage down.
const (
	SlowNetwork  = "network"
	SlowDisk     = "disk"
	SlowDecoding = "decompression"
)

// A Failure says what happened, to what, and what the reader can do about it.
type Failure struct {
	Code    int    `json:"code"`             // OpenGnsys' error number
	Stage   string `json:"stage"`            // where it happened
	Problem string `json:"problem"`          // what happened, to what
	Advice  string `json:"advice"`           // what the reader can do
	Detail  string `json:"detail,omitempty"` // the tool's own words, at most 4 KiB
}

func (f *Failure) Error() string {
	if f.Advice == "" {
		return f.Problem
	}
	return f.Problem + " (" + f.Advice + ")"
}

// OpenGnsys' error numbers that Aula uses, with their meaning there.
const (
	ErrFormat     = 1  // bad arguments
	ErrNotFound   = 2  // file or device not found
	ErrPartition  = 3  // partition or its filesystem
	ErrLocked     = 4  // partition or image in use
	ErrImage      = 5  // create or restore failed, or not a valid image
	ErrNotWrite   = 14 // cannot write to the repository
	ErrNotCache   = 15 // no cache partition
	ErrCacheSize  = 16 // no room in the cache or the repository
	ErrExtend     = 18 // the filesystem could not be made as large as its partition
	ErrFilesystem = 20 // unknown or unusable filesystem
	ErrRepository = 23 // repository cannot be reached
	ErrSize       = 30 // target partition smaller than the image
	ErrUpdate     = 31 // the cache could not be brought up to date
	ErrFormatting = 32 // a filesystem could not be made
	ErrImageFile  = 33 // image corrupt
	ErrGeneric    = 40
	ErrMulticast  = 57 // a multicast session did not bring the file
	ErrJoin       = 60 // nobody lets the PC join
)
