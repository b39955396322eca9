package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"

	"aula/webui/api"
	"aula/webui/client"
)

// dhcpCommand is `aula dhcp`.
type dhcpCommand struct {
	Show    dhcpShowCommand    `cmd:"" default:"withargs" help:"Tell what the appliance is on its network: mode, role, other servers, addresses, notices."`
	Mode    dhcpModeCommand    `cmd:"" help:"Set how it finds its role: auto, full or proxy."`
	Allow   dhcpAllowCommand   `cmd:"" help:"Agree that it leases addresses, when it asks because no other server does."`
	Probe   dhcpProbeCommand   `cmd:"" help:"Look for other DHCP servers now."`
	Leases  dhcpLeasesCommand  `cmd:"" help:"List who has which address, and which are reserved."`
	Reserve dhcpReserveCommand `cmd:"" help:"Give a computer always the same address, or any."`
	Dismiss dhcpDismissCommand `cmd:"" help:"Take a notice away until it is told again."`
}

// exitAsking is the exit status of `aula dhcp` while somebody has to agree before addresses are leased.
const exitAsking = 3

// dhcpShowCommand is `aula dhcp` and `aula dhcp show`.
type dhcpShowCommand struct {
	remote
	jsonFlag
}

// Run tells of the network. While the appliance asks whether it may lease addresses the exit status is 3.
func (c *dhcpShowCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	n, err := server.Network(ctx)
	if err != nil {
		return c.explain(err)
	}
	if c.JSON {
		err = printJSON(n)
	} else {
		err = printNetwork(n)
	}
	if err == nil && n.Asking {
		err = exitError{errors.New("no server leases addresses: computers cannot boot until one does. 'aula dhcp allow' lets this appliance lease them"), exitAsking}
	}
	return err
}

func printNetwork(n api.Network) error {
	fixed := ""
	if n.ModeFixed {
		fixed = ", set by the configuration"
	}
	role := map[string]string{
		"full": "leases addresses and tells computers what to boot", "proxy": "tells computers what to boot, and leases no addresses (ProxyDHCP)",
	}[n.Role]
	fmt.Printf("%s %s: %s (mode %s%s)\n", n.Interface, n.Address, cmp.Or(role, "is starting"), n.Mode, fixed)
	if err := printOthers(n.Others); err != nil {
		return err
	}
	if len(n.Pools) > 0 {
		w := newTable("NETWORK", "FIRST", "LAST", "ADDRESSES", "LEASED", "RESERVED", "QUARANTINED")
		for _, p := range n.Pools {
			w.row(p.Network, p.First, p.Last, p.Size, p.Leased, p.Reserved, p.Quarantined)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	printDrops(n.Drops)
	for _, notice := range n.Notices {
		fmt.Printf("%s: %s (%s)\n", notice.Level, notice.Text, notice.Key)
	}
	return nil
}

// printDrops tells which packets got no answer, when there are any.
func printDrops(d api.Drops) {
	for _, p := range []struct {
		times uint64
		what  string
	}{
		{d.UnknownRelay, "came by relay agents of networks that are not configured"}, {d.NoSubnet, "came from networks that are not served"},
		{d.Exhausted, "came when no address was left"}, {d.Newcomers, "came from more new computers at a time than are served"}, {d.Malformed, "could not be read"},
	} {
		if p.times > 0 {
			fmt.Printf("not answered since the start: %d that %s\n", p.times, p.what)
		}
	}
}

func printOthers(all []api.Other) error {
	if len(all) == 0 {
		fmt.Println("no other DHCP server was heard")
		return nil
	}
	w := newTable("OTHER SERVER", "MAC", "LEASES", "BOOTS", "AULA", "LAST")
	for _, o := range all {
		w.row(o.Address, o.MAC, yesNo(o.Leases), yesNo(o.Boots), o.Aula, local(o.Last))
	}
	return w.Flush()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// dhcpModeCommand is `aula dhcp mode`.
type dhcpModeCommand struct {
	remote
	jsonFlag
	Mode string `arg:"" enum:"auto,full,proxy" help:"auto: leases addresses when no other server does and somebody agreed, else ProxyDHCP. full: leases addresses. proxy: never leases addresses."`
}

// Run sets the mode.
func (c *dhcpModeCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	if err := server.SetMode(ctx, c.Mode); err != nil {
		return c.explain(err)
	}
	return c.after(ctx, server, c.remote, "mode %s", c.Mode)
}

// after tells how the network stands then.
func (j jsonFlag) after(ctx context.Context, server *client.Client, r remote, format string, args ...any) error {
	n, err := server.Network(ctx)
	if err != nil {
		return r.explain(err)
	}
	return j.tell(n, format, args...)
}

// dhcpAllowCommand is `aula dhcp allow`.
type dhcpAllowCommand struct {
	remote
	jsonFlag
}

// Run agrees.
func (c *dhcpAllowCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	n, err := server.Network(ctx)
	if err != nil {
		return c.explain(err)
	}
	if n.Mode != "auto" {
		return exitError{fmt.Errorf("the mode is %s, which asks nobody: 'aula dhcp mode auto' lets the appliance find its role", n.Mode), exitNoFile}
	}
	if err := server.Consent(ctx); err != nil {
		return c.explain(err)
	}
	return c.after(ctx, server, c.remote, "agreed: this appliance leases addresses when no other server does")
}

// dhcpProbeCommand is `aula dhcp probe`.
type dhcpProbeCommand struct {
	remote
	jsonFlag
}

// Run looks for other servers.
func (c *dhcpProbeCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	found, err := server.Probe(ctx)
	if err != nil {
		return c.explain(err)
	}
	if c.JSON {
		return printJSON(found)
	}
	return printOthers(found)
}

// dhcpLeasesCommand is `aula dhcp leases`.
type dhcpLeasesCommand struct {
	remote
	jsonFlag
}

// Run lists the leases.
func (c *dhcpLeasesCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	all, err := server.Leases(ctx)
	if err != nil {
		return c.explain(err)
	}
	if c.JSON {
		return printJSON(all)
	}
	w := newTable("ADDRESS", "MAC", "COMPUTER", "STATE", "UNTIL", "RESERVED")
	for _, l := range all {
		w.row(l.Address, l.MAC, l.Name, l.State, local(l.Expires), yesNo(l.Reserved))
	}
	return w.Flush()
}

// dhcpReserveCommand is `aula dhcp reserve`.
type dhcpReserveCommand struct {
	remote
	jsonFlag
	Computer string `arg:"" help:"Name of the computer."`
	Address  string `arg:"" help:"Its address, such as 192.168.1.20; none for any."`
}

// Run reserves an address.
func (c *dhcpReserveCommand) Run(ctx context.Context) error {
	address := c.Address
	if address == "none" {
		address = ""
	} else if a, err := netip.ParseAddr(address); err != nil || !a.Is4() {
		return exitError{fmt.Errorf("%q is no IPv4 address: give one such as 192.168.1.20, or none", address), exitNoFile}
	}
	server, err := c.client()
	if err != nil {
		return err
	}
	s, err := fetchScope(ctx, server)
	if err != nil {
		return c.explain(err)
	}
	ids, err := s.onlyComputers([]string{c.Computer})
	if err != nil {
		return err
	}
	if len(ids) != 1 {
		return exitError{errors.New("name one computer"), exitNoFile}
	}
	if err := server.Reserve(ctx, ids[0], address); err != nil {
		return c.explain(err)
	}
	r := api.Reservation{Address: address}
	if address == "" {
		return c.tell(r, "%s gets any address", s.pc(ids[0]))
	}
	return c.tell(r, "%s always gets %s", s.pc(ids[0]), address)
}

// dhcpDismissCommand is `aula dhcp dismiss`.
type dhcpDismissCommand struct {
	remote
	jsonFlag
	Key string `arg:"" help:"What stands behind the notice in parentheses."`
}

// Run takes a notice away.
func (c *dhcpDismissCommand) Run(ctx context.Context) error {
	server, err := c.client()
	if err != nil {
		return err
	}
	n, err := server.Network(ctx)
	if err != nil {
		return c.explain(err)
	}
	for _, notice := range n.Notices {
		if notice.Key != c.Key {
			continue
		}
		if err := server.DismissNotice(ctx, c.Key); err != nil {
			return c.explain(err)
		}
		return c.tell(notice, "taken away: %s", notice.Text)
	}
	return exitError{fmt.Errorf("there is no notice %q: 'aula dhcp' has them", c.Key), exitNoFile}
}
