package netboot

import (
	"errors"
	"io"
	"log/slog"
	"os"
)

// A part is a file that is sent by HTTP: from its copy in memory, or as it is opened.
type part struct {
	name string
	from func() (io.ReadSeekCloser, error)
	copy *memory // nil: there is none
}

// newPart copies a file into memory. One that cannot be opened now may be later, and one on a disk needs no copy; both are opened for each PC.
func newPart(name string, from func() (io.ReadSeekCloser, error), log *slog.Logger) *part {
	p := &part{name: name, from: from}
	f, err := from()
	if err != nil {
		return p
	}
	if _, onDisk := f.(*os.File); !onDisk {
		if p.copy, err = inMemory(name, f); err != nil {
			log.Warn("a file for booting has no copy in the kernel's memory: it costs more processor time to send", "file", name, "error", err)
		}
	}
	_ = f.Close() // it was only read
	return p
}

// open opens the part for one PC.
func (p *part) open() (io.ReadSeekCloser, error) {
	if p.copy == nil {
		return p.from()
	}
	f, err := p.copy.open()
	if err != nil {
		return p.from() // no descriptors are left, or there is no /proc any more
	}
	return f, nil
}

// check tells why the part cannot be sent.
func (p *part) check() error {
	if p.copy != nil {
		return nil
	}
	f, err := p.from()
	if err != nil {
		return err
	}
	return f.Close()
}

// closeParts gives the copies back.
func closeParts(all ...*part) error {
	var errs []error
	for _, p := range all {
		if p != nil && p.copy != nil {
			errs = append(errs, p.copy.Close())
		}
	}
	return errors.Join(errs...)
}
