package boot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"aula/clientos/agent/machine"
	"aula/clientos/agent/screen"
	"aula/clientos/protocol"
)

// limits are how long the steps to the network may take.
type limits struct {
	card  time.Duration // until the card that booted appears; then any other is taken
	link  time.Duration // until a link is up, for slow switches; then people are told
	lease time.Duration // one attempt at a lease; a switch port with spanning tree is deaf for 30 s, and attempts go on
	look  time.Duration // between two looks at a card or its cable
	renew time.Duration // between two attempts to renew a lease
}

func usualLimits() limits {
	return limits{card: 20 * time.Second, link: 8 * time.Second, lease: 12 * time.Second, look: 500 * time.Millisecond, renew: 30 * time.Second}
}

// A network is the PC's way to its server: one wired card and its lease.
type network struct {
	mac    string // of the card that booted; empty when that is not known
	board  *screen.Board
	log    *slog.Logger
	limits limits
	change <-chan struct{} // says that a card or its link has changed; nil: it is looked at every while

	card  protocol.NIC
	lease *nclient4.Lease
}

// bootMAC is the address of the card that booted, for which the server gave the ticket, even if the client OS has no driver for that
// card and uses another one. It is the address of the card in use when the loader could not tell.
func (n *network) bootMAC() string { return cmp.Or(n.mac, n.card.MAC) }

// up finds a card with a link and gets a lease. It tries for ever and returns an error only when ctx ends.
func (n *network) up(ctx context.Context) error {
	if lo, err := netlink.LinkByName("lo"); err == nil {
		_ = netlink.LinkSetUp(lo) // nothing here needs it
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	n.change = n.changes(ctx)
	started := time.Now()
	for ctx.Err() == nil {
		cards, err := n.cards(time.Since(started))
		if err != nil {
			n.trouble(err.Error(), "Restart this PC.")
		}
		for _, card := range cards {
			if n.try(ctx, card) {
				return nil
			}
		}
		n.wait(ctx)
	}
	return ctx.Err()
}

// changes tells of cards that come and links that come up, until ctx ends; nil when the kernel does not tell.
func (n *network) changes(ctx context.Context) <-chan struct{} {
	updates := make(chan netlink.LinkUpdate)
	if err := netlink.LinkSubscribe(updates, ctx.Done()); err != nil {
		n.log.Warn("changes of network cards are not told, and looked for", "error", err)
		return nil
	}
	changed := make(chan struct{}, 1)
	go func() { // ends with ctx, which closes updates
		for range updates {
			select {
			case changed <- struct{}{}:
			default:
			}
		}
	}()
	return changed
}

// wait waits until it is time for another look.
func (n *network) wait(ctx context.Context) {
	timer := time.NewTimer(n.limits.look)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-n.change:
	case <-timer.C:
	}
}

// cards returns the cards to try: the one that booted, or after a while all.
func (n *network) cards(waited time.Duration) ([]protocol.NIC, error) {
	all, err := machine.WiredNICs()
	if err != nil {
		return nil, err
	}
	chosen := choose(all, n.mac, waited >= n.limits.card)
	if len(chosen) > 0 {
		return chosen, nil
	}
	if waited < n.limits.card {
		n.step("Looking for the network card")
		return nil, nil
	}
	n.trouble("This PC has no wired network card that the client OS knows.",
		"Look in the firmware's setup whether the card is switched on, or put in another one.")
	return nil, nil
}

// choose returns the cards to try. Without an address every card will do; with one, only that card, unless it has not appeared in good time.
func choose(all []protocol.NIC, mac string, late bool) []protocol.NIC {
	if mac == "" {
		return all
	}
	for _, c := range all {
		if c.MAC == mac {
			return []protocol.NIC{c}
		}
	}
	if late {
		return all
	}
	return nil
}

// try brings one card up and asks for a lease.
func (n *network) try(ctx context.Context, card protocol.NIC) bool {
	name := fmt.Sprintf("%s (%s)", card.Name, card.MAC)
	link, err := netlink.LinkByName(card.Name)
	if err != nil {
		return false // it has just gone
	}
	if err := netlink.LinkSetUp(link); err != nil {
		n.trouble(fmt.Sprintf("The network card %s does not start: %v.", name, err), "Restart this PC.")
		return false
	}
	n.step("Waiting for a link on " + name)
	if !n.waitLink(ctx, card.Name) {
		n.trouble(fmt.Sprintf("No link on %s.", name), "Check the network cable at this PC and at the switch.")
		return false
	}
	n.step("Asking for an address on " + name)
	lease, err := n.request(ctx, card.Name)
	if err != nil {
		n.log.Warn("no lease", "card", card.Name, "error", err)
		n.trouble(noLease(name, err))
		return false
	}
	if err := configure(link, lease.ACK); err != nil {
		n.trouble(fmt.Sprintf("The address from DHCP cannot be used on %s: %v.", name, err), "Check the settings of the DHCP server.")
		return false
	}
	n.card, n.lease = card, lease
	n.board.Update(func(s *screen.State) {
		s.Phase, s.Problem, s.Advice, s.Step = screen.Starting, "", "", "Taking stock of this PC"
		s.Address, s.MAC = lease.ACK.YourIPAddr.String(), card.MAC
	})
	n.log.Info("network", "card", card.Name, "address", lease.ACK.YourIPAddr, "lease", lease.ACK.IPAddressLeaseTime(0))
	return true
}

// noLease says why a card got no address, and what to do.
func noLease(card string, err error) (problem, advice string) {
	var refused *nclient4.ErrNak
	switch {
	case errors.Is(err, nclient4.ErrNoResponse), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("No DHCP server answers on %s.", card),
			"Check that the server runs and that its cable and this PC's are in the same network."
	case errors.As(err, &refused):
		return fmt.Sprintf("The DHCP server refuses an address to %s.", card),
			"Look in the server's log; perhaps two DHCP servers are in this network."
	default:
		return fmt.Sprintf("No address for %s: %v.", card, err), "Restart this PC; if that does not help, put in another network card."
	}
}

// waitLink waits until the card has a link, at most the limit.
func (n *network) waitLink(ctx context.Context, name string) bool {
	for end := time.Now().Add(n.limits.link); time.Now().Before(end) && ctx.Err() == nil; n.wait(ctx) {
		l, err := netlink.LinkByName(name)
		if err == nil && hasLink(l.Attrs()) {
			return true
		}
	}
	return false
}

// hasLink tells whether a signal is there. Some drivers leave the state unknown and set only the flag (netdevice(7)).
func hasLink(card *netlink.LinkAttrs) bool {
	return card.OperState == netlink.OperUp || card.OperState == netlink.OperUnknown && card.RawFlags&unix.IFF_LOWER_UP != 0
}

// keep renews the lease until ctx ends. When nobody renews it the address is kept all the same: work in progress is worth more than
// the rule (RFC 2131 section 4.4.5), and a server that is back gives the same address again.
func (n *network) keep(ctx context.Context) {
	for {
		life := n.lease.ACK.IPAddressLeaseTime(time.Hour)
		if !pause(ctx, max(life/2, n.limits.renew)) {
			return
		}
		for {
			lease, err := n.renew(ctx)
			if err == nil {
				n.lease = lease
				break
			}
			n.log.Warn("lease not renewed", "card", n.card.Name, "error", err)
			if !pause(ctx, n.limits.renew) {
				return
			}
		}
		link, err := netlink.LinkByName(n.card.Name)
		if err == nil {
			err = configure(link, n.lease.ACK)
		}
		if err != nil {
			n.log.Warn("renewed lease not applied", "card", n.card.Name, "error", err)
		}
	}
}

// request asks for a lease.
func (n *network) request(ctx context.Context, card string) (*nclient4.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, n.limits.lease)
	defer cancel()
	client, err := n.client(card)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return client.Request(ctx)
}

// renew asks for more time, of the server that gave the lease and then of any.
func (n *network) renew(ctx context.Context) (*nclient4.Lease, error) {
	limited, cancel := context.WithTimeout(ctx, n.limits.lease)
	defer cancel()
	client, err := n.client(n.card.Name)
	if err != nil {
		return nil, err
	}
	renewed, err := client.Renew(limited, n.lease)
	client.Close()
	if err == nil {
		return renewed, nil
	}
	fresh, again := n.request(ctx, n.card.Name)
	if again != nil {
		return nil, errors.Join(err, again)
	}
	return fresh, nil
}

func (n *network) client(card string) (*nclient4.Client, error) {
	return nclient4.New(card, nclient4.WithTimeout(n.limits.lease/4), nclient4.WithRetry(3))
}

// configure gives a card what a DHCP server said. It is harmless to repeat.
func configure(link netlink.Link, ack *dhcpv4.DHCPv4) error {
	mask := ack.SubnetMask()
	if mask == nil {
		mask = ack.YourIPAddr.DefaultMask()
	}
	if ack.YourIPAddr.To4() == nil || ack.YourIPAddr.IsUnspecified() {
		return errors.New("the answer holds no address")
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: ack.YourIPAddr, Mask: mask}}
	if err := netlink.AddrReplace(link, address); err != nil {
		return fmt.Errorf("address %s: %w", address, err)
	}
	for _, router := range ack.Router() {
		route := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: router}
		if err := netlink.RouteReplace(route); err != nil {
			return fmt.Errorf("route through %s: %w", router, err)
		}
		break // the first is the preferred one
	}
	return nil
}

// step shows what is being done. A trouble stays to be seen until the step that it was about is over.
func (n *network) step(text string) {
	n.board.Update(func(s *screen.State) { s.Step = text })
}

func (n *network) trouble(problem, advice string) {
	n.board.Update(func(s *screen.State) { s.Phase, s.Problem, s.Advice = screen.Trouble, problem, advice })
}

// pause waits and tells whether ctx is still running.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
