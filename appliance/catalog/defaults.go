package catalog

import (
	"fmt"
	"strings"

	bolt "go.etcd.io/bbolt"

	"aula/clientos/protocol"
	"aula/imagestore/multicast"
	"aula/imagestore/torrent"
)

// Defaults are what the deployments of a classroom are prefilled with, as OpenGnsys keeps them with it.
type Defaults struct {
	Protocol  string `json:"protocol,omitempty"`  // UNICAST, MULTICAST (also when empty) or TORRENT
	Direct    bool   `json:"direct,omitempty"`    // without the cache
	Multicast string `json:"multicast,omitempty"` // 9000:full-duplex:239.194.17.36:90M:20:60; empty: made of the network and the number of PCs
	Torrent   string `json:"torrent,omitempty"`   // peer:60, also when empty
	Fallback  string `json:"fallback,omitempty"`  // of a PC without a cache or without room: UNICAST (also when empty), MULTICAST or NONE
	// Script is run on each PC after a restore, see protocol.Script.
	Script string `json:"script,omitempty"`
}

// SetDefaults sets what the deployments of a classroom begin with. Words may be in lower case.
func (c *Catalog) SetDefaults(classroomID string, d Defaults) error {
	d, err := d.clean()
	if err != nil {
		return err
	}
	return c.change(func(tx *bolt.Tx) error {
		room, err := getClassroom(tx, classroomID)
		if err != nil {
			return err
		}
		room.Defaults = d
		return put(tx, classroomsBucket, room.ID, room)
	})
}

// clean returns the defaults as they are kept, or ErrInvalid with the reason.
func (d Defaults) clean() (_ Defaults, err error) {
	d.Protocol, d.Fallback = strings.ToUpper(strings.TrimSpace(d.Protocol)), strings.ToUpper(strings.TrimSpace(d.Fallback))
	if err := (protocol.Delivery{Protocol: d.Protocol, Fallback: d.Fallback}).Check(); err != nil {
		return d, fmt.Errorf("defaults of the classroom: %w: %w", ErrInvalid, err)
	}
	if d.Multicast = strings.TrimSpace(d.Multicast); d.Multicast != "" {
		if _, err := multicast.ParseSession(d.Multicast); err != nil {
			return d, fmt.Errorf("multicast parameters of the classroom: %w: %w", ErrInvalid, err)
		}
	}
	if d.Torrent = strings.TrimSpace(d.Torrent); d.Torrent != "" {
		if _, _, err := torrent.ParseMode(d.Torrent); err != nil {
			return d, fmt.Errorf("torrent parameters of the classroom: %w: %w", ErrInvalid, err)
		}
	}
	d.Script, err = cleanScript("script of the classroom", d.Script)
	return d, err
}

// cleanScript returns a script as a shell reads it, with the line ends of Unix: a text area of a browser sends those of DOS.
func cleanScript(what, text string) (string, error) {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	if strings.ContainsRune(text, 0) {
		return "", fmt.Errorf("%s: %w: it holds a zero byte (write a text for the shell)", what, ErrInvalid)
	}
	return cleanText(what, text, protocol.MaxScript)
}
