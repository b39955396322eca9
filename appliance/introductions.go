package appliance

import (
	"aula/appliance/boot"
	"aula/appliance/roster"
	"aula/imagestore"
	"aula/netboot"
	"aula/netboot/wake"
	"aula/webui"
)

// agents is the roster as the operations see it. It is filled in after the roster is made, because the two know
// each other: operations send instructions through the roster, and the roster brings reports to the operations.
type agents struct{ *roster.Roster }

// arrivals tells the journal of boots whose agent has connected. It is filled in after the roster is made, which gives the tickets of the boots.
type arrivals struct{ to *boot.Service }

func (a *arrivals) arrived(mac string) {
	if a.to != nil {
		a.to.Arrived(mac)
	}
}

// observer is the journal of boots; and it tells the waker which PCs are on.
type observer struct {
	*boot.Service
	waker *wake.Waker
}

// Observe is called by netboot for each step of a boot.
func (o observer) Observe(e netboot.Event) {
	o.Service.Observe(e)
	if e.Step == netboot.StepDHCP {
		o.waker.Arrived(e.MAC)
	}
}

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

func (c *changes) boot(mac string) {
	if c.to != nil {
		c.to.BootChanged(mac)
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
