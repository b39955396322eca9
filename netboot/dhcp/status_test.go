package dhcp

import (
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"aula/netboot/lease"
)

// What people ask and set, while the server works.
func TestServerIsAskedAndToldWhileItWorks(t *testing.T) {
	s, w, _ := serve(t, openStore(t, filepath.Join(t.TempDir(), "leases.db")), nil)
	var others sync.WaitGroup
	others.Go(func() {
		for range 100 {
			_, _, _, _ = s.Pools(), s.Leases(), s.Drops(), s.Role()
			if err := s.Reserve([]lease.Reservation{{MAC: pc2, Address: ip(12), Name: "PC 2"}}); err != nil {
				t.Error(err)
			}
		}
	})
	for range 100 {
		w.in <- packet(t, pc1, discover)
		<-w.out
		w.in <- packet(t, pc1, ask, to(server), wants(ip(10)))
		<-w.out
	}
	others.Wait()
	w.in <- packet(t, pc2, discover)
	if got := <-w.out; address(got.YourIPAddr) != ip(12) {
		t.Errorf("offered %s, want the reserved address", got.YourIPAddr)
	}
	if err := s.Reserve([]lease.Reservation{{MAC: pc2, Address: ip(12), Name: "PC 2"}, {MAC: pc1, Address: server, Name: "PC 1"}}); err == nil || !strings.Contains(err.Error(), "PC 1: it is this appliance's own") {
		t.Errorf("Reserve of the server's address: %v", err)
	}
	p := s.Pools()[0]
	if p.Size != 3 || p.Leased != 1 || p.Offered != 1 || p.Reserved != 1 {
		t.Errorf("pool = %+v", p)
	}
	if all := s.Leases(); len(all) != 1 || all[0].Address != ip(10) || all[0].MAC != pc1 {
		t.Errorf("leases = %+v", all)
	}
}

func TestServerChangesItsRole(t *testing.T) {
	s, w, _ := serve(t, openStore(t, filepath.Join(t.TempDir(), "leases.db")), nil)
	s.SetRole(Proxy)
	w.in <- packet(t, pc1, discover)                                                     // no answer: it does not boot
	w.in <- packet(t, pc2, discover, class("PXEClient:Arch:00000:UNDI:002001"), arch(0)) // what to boot, and no address
	if got := <-w.out; got.ClientHWAddr.String() != pc2.String() || address(got.YourIPAddr).IsValid() {
		t.Errorf("as a ProxyDHCP: %s", got.Summary())
	}
	s.SetRole(Full)
	w.in <- packet(t, pc1, discover)
	if got := <-w.out; address(got.YourIPAddr) != ip(10) || s.Role() != Full {
		t.Errorf("as a DHCP server: %s", got.Summary())
	}
	w.in <- []byte("rubbish")
	w.in <- packet(t, pc1, discover)
	<-w.out
	if got := s.Drops().Malformed; got != 1 {
		t.Errorf("%d malformed packets were counted, want 1", got)
	}
}
