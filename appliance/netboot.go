package appliance

import (
	"cmp"
	"context"
	"log/slog"
	"net/netip"
	"path/filepath"
	"time"

	"aula/appliance/boot"
	"aula/appliance/catalog"
	"aula/clientos"
	"aula/netboot"
	"aula/netboot/lease"
)

// newNetboot makes the boot services. Where the configuration leaves the mode of DHCP open, it is the one that was chosen in the console.
func newNetboot(cfg Config, nic string, address netip.Prefix, overlay []byte, files clientos.Image, boots *boot.Service, observer netboot.Observer, log *slog.Logger) (*netboot.Server, error) {
	mode := cfg.DHCP.Mode
	if mode == netboot.ModeAuto {
		chosen, err := boots.Mode()
		if err != nil {
			return nil, err
		}
		mode = cmp.Or(netboot.Mode(chosen), mode)
	}
	return netboot.New(netboot.Config{
		Interface: nic, Address: address, Mode: mode, Consent: boots,
		PoolFirst: cfg.DHCP.First, PoolLast: cfg.DHCP.Last,
		LeaseTime: time.Duration(cfg.DHCP.LeaseTime), StrangerTime: time.Duration(cfg.DHCP.StrangerTime),
		Gateway: cfg.DHCP.Gateway, DNS: cfg.DHCP.DNS, Subnets: cfg.DHCP.subnets(),
		Leases:   filepath.Join(cfg.Data, "leases.db"),
		HTTPPort: cfg.Boot.Port, SinglePort: cfg.Boot.SinglePort, AgentPort: cfg.Agents.Port,
		Overlay: overlay, Extra: cfg.Boot.KernelParameters, Files: files,
		Decider: boots, Observer: observer, Log: log,
	})
}

// reservations tells DHCP which addresses the catalog reserves for whom.
type reservations struct {
	catalog *catalog.Catalog
	to      interface {
		Reserve([]lease.Reservation) error
	}
	notices netboot.Observer
	changed chan struct{}
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

func (r *reservations) tell() {
	notice := netboot.Notice{Key: "reservations", Level: netboot.Warning, Gone: true}
	all, err := r.all()
	if err == nil {
		err = r.to.Reserve(all)
	}
	if err != nil {
		notice.Gone, notice.Text = false, "addresses are not reserved: "+err.Error()
	}
	r.notices.Notify(notice)
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
