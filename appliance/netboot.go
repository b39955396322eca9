package appliance

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"aula/appliance/catalog"
	"aula/netboot"
	"aula/netboot/lease"
)

// netboot completes what the boot services are made of by what is configured. chosen is the mode that was chosen in the console, which counts where the configuration
// leaves it open.
func (c Config) netboot(base netboot.Config, chosen string) netboot.Config {
	base.Mode = c.DHCP.Mode
	if base.Mode == netboot.ModeAuto {
		base.Mode = cmp.Or(netboot.Mode(chosen), base.Mode)
	}
	base.PoolFirst, base.PoolLast, base.Gateway, base.DNS = c.DHCP.First, c.DHCP.Last, c.DHCP.Gateway, c.DHCP.DNS
	base.LeaseTime, base.StrangerTime = time.Duration(c.DHCP.LeaseTime), time.Duration(c.DHCP.StrangerTime)
	for _, s := range c.DHCP.Subnets {
		base.Subnets = append(base.Subnets, netboot.Subnet(s))
	}
	base.Leases = filepath.Join(c.Data, "leases.db")
	base.HTTPPort, base.SinglePort, base.AgentPort, base.Extra = c.Boot.Port, c.Boot.SinglePort, c.Agents.Port, c.Boot.KernelParameters
	return base
}

// openFirmwareFiles opens the folder of the operator's own files for firmware, which are served beside the boot loaders. Nothing outside of it can be.
func (c Config) openFirmwareFiles() (*os.Root, error) {
	dir := filepath.Join(c.Data, "firmware")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("folder for files of firmware: %w", err)
	}
	return os.OpenRoot(dir)
}

// reservations tells DHCP which addresses the catalog reserves for whom.
type reservations struct {
	catalog *catalog.Catalog
	to      interface {
		Reserve([]lease.Reservation) error
	}
	notices netboot.Observer
	changed chan struct{}
	told    string // text of the notice; empty without
}

func newReservations(cat *catalog.Catalog, to *netboot.Server, notices netboot.Observer) *reservations {
	return &reservations{catalog: cat, to: to, notices: notices, changed: make(chan struct{}, 1)}
}

// Run follows the catalog until ctx ends.
func (r *reservations) Run(ctx context.Context) error {
	defer r.catalog.Watch(func() {
		select {
		case r.changed <- struct{}{}:
		default: // to be looked at already
		}
	})()
	for {
		r.tell()
		select {
		case <-ctx.Done():
			return nil
		case <-r.changed:
		}
	}
}

// tell reserves them. What cannot be reserved is told once: the catalog changes often, and each notice goes to all who look at the console.
func (r *reservations) tell() {
	all, err := r.all()
	if err == nil {
		err = r.to.Reserve(all)
	}
	text := ""
	if err != nil {
		text = "Not every address is reserved: " + err.Error() + "."
	}
	if text == r.told {
		return
	}
	r.told = text
	r.notices.Notify(netboot.Notice{Key: "reservations", Level: netboot.Warning, Text: text, Gone: err == nil})
}

func (r *reservations) all() ([]lease.Reservation, error) {
	computers, err := r.catalog.Computers()
	if err != nil {
		return nil, err
	}
	var all []lease.Reservation
	for _, pc := range computers {
		if !pc.Reserved.IsValid() || len(pc.MACs) == 0 {
			continue
		}
		mac, err := lease.ParseMAC(pc.MACs[0]) // the one that booted
		if err != nil {
			return nil, err
		}
		all = append(all, lease.Reservation{MAC: mac, Address: pc.Reserved, Name: pc.Name})
	}
	return all, nil
}
