package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"aula/imagestore/torrent/metainfo"
	"aula/imagestore/torrent/tracker"
)

// An ownTracker is the one that `aula torrent seed` runs for its files. It listens at every address of this machine, or at those of one
// interface, and always at the loopback, where 'aula torrent status' asks.
type ownTracker struct {
	*tracker.Server
	port  uint16
	hosts []netip.Addr // at which PCs find it
	names []string     // of the interfaces that these are of
	ports []trackerPort

	mu    sync.Mutex
	files map[metainfo.Hash]tracker.Torrent
}

// A trackerPort is a port of one address, for TCP and UDP.
type trackerPort struct {
	listener net.Listener
	packets  net.PacketConn
}

// newOwnTracker opens the ports; serve closes them.
func newOwnTracker(nic string, port uint16) (*ownTracker, error) {
	up, err := nics()
	if err != nil {
		return nil, err
	}
	t := &ownTracker{port: port, files: map[metainfo.Hash]tracker.Torrent{}}
	t.Server = tracker.NewServer(tracker.Config{Lookup: t.lookup})
	listen := []string{""}
	if nic != "" {
		networks, err := networksOf(nic)
		if err != nil {
			return nil, exitError{err, exitNoFile}
		}
		address := networks[0].Addr()
		t.hosts, listen = []netip.Addr{address}, []string{address.String()}
		if !address.IsLoopback() {
			listen = append(listen, "127.0.0.1")
		}
	} else {
		t.hosts, t.names = hostsOf(up)
	}
	for _, host := range listen {
		if err := t.open(host); err != nil {
			t.close()
			return nil, err
		}
	}
	return t, nil
}

// hostsOf returns the IPv4 addresses of this machine, and the interfaces that they are of; the loopback when there are no others.
func hostsOf(up []nic) (hosts []netip.Addr, names []string) {
	for _, n := range up {
		for _, p := range n.networks {
			if !p.Addr().IsLoopback() {
				hosts, names = append(hosts, p.Addr()), append(names, n.name)
			}
		}
	}
	if hosts == nil {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}, []string{"lo"}
	}
	return hosts, names
}

func (t *ownTracker) open(host string) error {
	address := net.JoinHostPort(host, strconv.Itoa(int(t.port)))
	listener, err := net.Listen("tcp", address)
	if err == nil {
		var packets net.PacketConn
		if packets, err = net.ListenPacket("udp", address); err == nil {
			t.ports = append(t.ports, trackerPort{listener, packets})
			return nil
		}
		err = errors.Join(err, listener.Close())
	}
	if errors.Is(err, unix.EADDRINUSE) {
		return fmt.Errorf("port %d is taken, by another tracker most likely: use it with --tracker URL if it takes these files, end it, or choose another port "+
			"with --tracker-port: %w", t.port, err)
	}
	return fmt.Errorf("tracker: %w", err)
}

func (t *ownTracker) close() {
	for _, p := range t.ports {
		_ = p.listener.Close()
		_ = p.packets.Close()
	}
}

// serve answers until the context ends.
func (t *ownTracker) serve(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, p := range t.ports {
		group.Go(func() error { return t.Serve(ctx, p.listener, p.packets) })
	}
	return group.Wait()
}

// add makes it take a torrent.
func (t *ownTracker) add(m *metainfo.Torrent) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.files[m.Hash] = tracker.Torrent{Name: m.Name, Size: m.Length}
}

func (t *ownTracker) lookup(h metainfo.Hash) (tracker.Torrent, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	known, ok := t.files[h]
	return known, ok
}

// url is where PCs announce themselves. When this machine is in several networks, somebody must choose.
func (t *ownTracker) url() (string, error) {
	if len(t.hosts) > 1 {
		return "", fmt.Errorf("the .torrent names the tracker by its address, and this machine has several: choose one of %s with --interface",
			strings.Join(slices.Compact(t.names), ", "))
	}
	return announceURL(t.hosts[0], t.port), nil
}

func announceURL(host netip.Addr, port uint16) string {
	return fmt.Sprintf("http://%s/announce", netip.AddrPortFrom(host, port))
}

// own is where programs of this machine announce themselves: the tracker tells each PC the address at which that one reaches this machine.
func (t *ownTracker) own() string { return announceURL(netip.AddrFrom4([4]byte{127, 0, 0, 1}), t.port) }

// here tells whether an address is one of this machine's.
func (t *ownTracker) here(a netip.Addr) bool { return a.IsLoopback() || slices.Contains(t.hosts, a) }

// is tells whether a URL is this tracker's.
func (t *ownTracker) is(announce string) bool {
	u, err := url.Parse(announce)
	if err != nil || u.Port() != strconv.Itoa(int(t.port)) {
		return false
	}
	host, err := netip.ParseAddr(u.Hostname())
	return err == nil && slices.Contains(t.hosts, host)
}
