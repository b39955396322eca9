package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"aula/appliance/catalog"
	"aula/appliance/roster"
	"aula/imagestore"
	"aula/netboot"
	"aula/webui"
)

// agents is the roster as the operations see it. It is filled in after the roster is made, because the two know
// each other: operations send instructions through the roster, and the roster brings reports to the operations.
type agents struct{ *roster.Roster }

// changes carries news from the rooms that do things to the console that shows them.
type changes struct{ to *webui.Server }

func (c *changes) operation(id string) {
	if c.to != nil {
		c.to.OperationChanged(id)
	}
}

func (c *changes) computer(id string) {
	if c.to != nil {
		c.to.ComputerChanged(id)
	}
}

func (c *changes) image(string) {
	if c.to != nil {
		c.to.ImagesChanged()
	}
}

func (c *changes) task(id string) {
	if c.to != nil {
		c.to.TaskChanged(id)
	}
}

// locate tells operations by which name and address PCs fetch from a repository.
func locate(images *imagestore.Library) func(repository string) (name, address string, err error) {
	return func(repository string) (name, address string, err error) {
		r, err := images.Repository(repository)
		if err != nil {
			return "", "", err
		}
		return r.Name(), r.Address(), nil
	}
}

// decider tells netboot what a PC boots: what the operator chose for a PC of the catalog, and the client OS for
// a PC that nobody knows, so that it can introduce itself and be accepted.
type decider struct {
	catalog *catalog.Catalog
	tickets interface {
		IssueTicket(mac string, addr netip.Addr) (string, error)
	}
}

// Decide implements netboot.Decider.
func (d decider) Decide(_ context.Context, c netboot.Client) (netboot.Boot, error) {
	computer, err := d.catalog.ComputerByMAC(c.MAC)
	switch {
	case errors.Is(err, catalog.ErrNotFound):
	case err != nil:
		return netboot.Boot{}, fmt.Errorf("what %s boots: %w", c.MAC, err)
	default:
		target, err := d.catalog.TakeNextBoot(computer.ID)
		if err != nil {
			return netboot.Boot{}, fmt.Errorf("what %s boots: %w", computer.Name, err)
		}
		if target == catalog.BootDisk {
			return netboot.Boot{Target: netboot.BootDisk}, nil
		}
	}
	ticket, err := d.tickets.IssueTicket(c.MAC, c.Address)
	if err != nil {
		return netboot.Boot{}, fmt.Errorf("ticket for %s: %w", c.MAC, err)
	}
	return netboot.Boot{Target: netboot.BootClientOS, Ticket: ticket}, nil
}
