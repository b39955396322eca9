package protocol

import (
	"fmt"
	"slices"
)

// Where images come from, and by what, in OpenGnsys' words.
const (
	Repo  = "REPO"  // the repository of the server
	Cache = "CACHE" // the PC's own cache partition

	Unicast   = "UNICAST"
	Multicast = "MULTICAST"
	Torrent   = "TORRENT"

	// None is a Fallback: a PC without a cache, or without room in it, fails.
	None = "NONE"
)

// A Delivery says how the images of an instruction come to the PC. An instruction without one means UNICAST-DIRECT from the
// repository.
type Delivery struct {
	From     string `json:"from,omitempty"`     // Repo, also when empty, or Cache: what is there and nothing else
	Protocol string `json:"protocol,omitempty"` // Unicast, also when empty, Multicast or Torrent; of no meaning From Cache
	// Direct puts the images straight onto the disk; otherwise they come into the cache and are restored from there.
	Direct bool `json:"direct,omitempty"`
	// Fallback is what a PC does that has no cache, or no room in it, or whose image no swarm can write straight to the disk: Unicast, also when
	// empty, or Multicast, both straight to the disk, or None. It reports what it did in a note.
	Fallback string `json:"fallback,omitempty"`
	// Parameters are those of the protocol in OpenGnsys' form: 9000:full-duplex:239.194.17.36:90M:20:60, or peer:60. The agent uses those of
	// Torrent; those of a multicast session it gets when it joins.
	Parameters string `json:"parameters,omitempty"`
	// Session is the same for all PCs that one multicast session serves.
	Session string `json:"session,omitempty"`
}

// In is the delivery in a session; nil of nil.
func (d *Delivery) In(session string) *Delivery {
	if d == nil {
		return nil
	}
	in := *d
	in.Session = session
	return &in
}

// Check refuses a Delivery that says nothing, or two things.
func (d Delivery) Check() error {
	switch {
	case !slices.Contains([]string{"", Repo, Cache}, d.From):
		return fmt.Errorf("images come from %s or %s, not from %.40q", Repo, Cache, d.From)
	case !slices.Contains([]string{"", Unicast, Multicast, Torrent}, d.Protocol):
		return fmt.Errorf("images come by %s, %s or %s, not by %.40q", Unicast, Multicast, Torrent, d.Protocol)
	case !slices.Contains([]string{"", Unicast, Multicast, None}, d.Fallback):
		return fmt.Errorf("without a cache there is %s, %s or %s, not %.40q", Unicast, Multicast, None, d.Fallback)
	case d.From == Cache && d.Direct:
		return fmt.Errorf("from %s is never direct", Cache)
	case len(d.Parameters) > maxText:
		return fmt.Errorf("parameters of %d bytes, more than %d", len(d.Parameters), maxText)
	}
	return nil
}

// SessionsPath, with the instruction after it, is where an agent asks by POST to join the multicast session of its instruction, which begins
// if it has not. The answer is a Session. It asks again whenever the session has fallen silent: the server may have restarted.
const SessionsPath = "/agent/v1/sessions/"

// A Session is what an agent is told of the multicast session that brings it its images: the files of the instruction's parts, one after the other,
// as one content.
type Session struct {
	Server string `json:"server"`          // address of the sender
	Port   int    `json:"port"`            // even
	Group  string `json:"group,omitempty"` // empty: broadcast
	Key    []byte `json:"key"`             // of imagestore/multicast, 32 bytes
}

// Parts of an image that a PC may ask for, after its revision.
const (
	ImagePart   = "image"   // the file; ranges are honoured
	ChunksPart  = "chunks"  // its chunk index (imagestore/format)
	MapPart     = "map"     // the map of the file's parts (format.FileMap), of images that do not tell it themselves
	TorrentPart = "torrent" // its torrent
)
