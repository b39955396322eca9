package roster_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"aula/appliance/catalog"
	"aula/clientos/protocol"
	"aula/clientos/protocol/wire"
)

// labelled is the inventory of a PC with a real UUID and serial.
func labelled(uuid, serial string, macs ...string) protocol.Inventory {
	inv := inventory(macs[0])
	inv.UUID, inv.Serial, inv.NICs = uuid, serial, nil
	for _, mac := range macs {
		inv.NICs = append(inv.NICs, protocol.NIC{Name: "eth0", MAC: mac, Link: true})
	}
	return inv
}

// TestStrangerGetsNoPlaceByWhatItSays lets a PC with a ticket for its own card claim board and card of an accepted one.
func TestStrangerGetsNoPlaceByWhatItSays(t *testing.T) {
	t.Parallel()
	claims := map[string]protocol.Inventory{
		"board": labelled("u1", "s1", mac2),
		"card":  labelled("", "", mac2, mac1),
	}
	for name, claim := range claims {
		for _, later := range []bool{false, true} {
			t.Run(name+map[bool]string{false: " in hello", true: " later"}[later], func(t *testing.T) {
				t.Parallel()
				s := newServer(t)
				owner, x := newStranger(t), newStranger(t)
				conn, _, err := owner.say(s, protocol.Hello{Ticket: s.ticket(mac1), MAC: mac1, Inventory: labelled("u1", "s1", mac1)})
				check(t, err)
				pc := s.accept(mac1, "pc-01")
				conn.Close(1000, "")

				first := claim
				if later {
					first = inventory(mac2)
				}
				conn, m, err := x.say(s, protocol.Hello{Ticket: s.ticket(mac2), MAC: mac2, Inventory: first})
				if err != nil || m.Welcome == nil || m.Welcome.State != protocol.Pending {
					t.Fatalf("the stranger was answered by %+v, %v; want to be pending", m, err)
				}
				if later {
					check(t, conn.Send(protocol.Message{Inventory: &claim}))
					check(t, conn.Send(protocol.Message{})) // no agent sends this: the session ends behind the inventory
					for err == nil {
						_, err = conn.Receive(t.Context())
					}
				}
				if got, err := s.catalog.Computer(pc.ID); err != nil || !reflect.DeepEqual(got.Inventory, pc.Inventory) || !reflect.DeepEqual(got.MACs, pc.MACs) {
					t.Errorf("the accepted PC became %+v, %v; want %+v", got, err, pc)
				}
				if got, err := s.catalog.ComputerByMAC(mac1); err != nil || got.ID != pc.ID {
					t.Errorf("its address finds %+v, %v", got, err)
				}
			})
		}
	}
}

// TestInventoryOfAnotherComputerIsNotTaken lets a pending PC go on talking when its address has become an accepted one's.
func TestInventoryOfAnotherComputerIsNotTaken(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner, x := newStranger(t), newStranger(t)
	_, _, err := owner.hello(s, mac1, s.ticket(mac1))
	check(t, err)
	s.accept(mac1, "pc-01")
	claim := labelled("u2", "s2", mac2)
	conn, _, err := x.say(s, protocol.Hello{Ticket: s.ticket(mac2), MAC: mac2, Inventory: claim})
	check(t, err)
	pc, err := s.catalog.Observe(mac1, "127.0.0.1", labelled("", "", mac1, mac2), s.now())
	check(t, err)

	check(t, conn.Send(protocol.Message{Inventory: &claim}))
	check(t, conn.Send(protocol.Message{})) // no agent sends this: the session ends behind the inventory
	for err == nil {
		_, err = conn.Receive(t.Context())
	}
	if got, err := s.catalog.Computer(pc.ID); err != nil || !reflect.DeepEqual(got.Inventory, pc.Inventory) || !reflect.DeepEqual(got.MACs, pc.MACs) {
		t.Errorf("the accepted PC became %+v, %v; want %+v", got, err, pc)
	}
}

// TestIntruderLeavesNoTrace lets a PC say that it is another pending one while that is connected.
func TestIntruderLeavesNoTrace(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	owner, x := newStranger(t), newStranger(t)
	conn, _, err := owner.say(s, protocol.Hello{Ticket: s.ticket(mac1), MAC: mac1, Inventory: labelled("u1", "s1", mac1)})
	check(t, err)
	go func() { // answers pings until the test ends
		for {
			if _, err := conn.Receive(t.Context()); err != nil {
				return
			}
		}
	}()
	before, err := s.catalog.ComputerByMAC(mac1)
	check(t, err)
	_, m, err := x.say(s, protocol.Hello{Ticket: s.ticket(mac2), MAC: mac2, Inventory: labelled("u1", "s1", mac2)})
	var closed *wire.CloseError
	if !errors.As(err, &closed) || closed.Code != protocol.CloseDuplicate {
		t.Fatalf("the intruder was answered by %+v, %v; want close code %d", m, err, protocol.CloseDuplicate)
	}
	if after, err := s.catalog.Computer(before.ID); err != nil || !reflect.DeepEqual(after, before) {
		t.Errorf("the connected PC became %+v, %v; want %+v", after, err, before)
	}
	if _, err := s.catalog.ComputerByMAC(mac2); !errors.Is(err, catalog.ErrNotFound) {
		t.Errorf("the intruder's address is in the catalog: %v", err)
	}
}

func TestDamagedEnrolmentCostsOnePCARestart(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	good, bad := newStranger(t), newStranger(t)
	for mac, x := range map[string]*stranger{mac1: good, mac2: bad} {
		conn, _, err := x.hello(s, mac, s.ticket(mac))
		check(t, err)
		conn.Close(1000, "")
	}
	damaged, err := s.catalog.ComputerByMAC(mac2)
	check(t, err)
	check(t, s.catalog.PutRecord(catalog.Enrolments, damaged.ID, []byte(`{"key":"12`)))
	s.stop()
	s.start()
	if _, m, err := good.hello(s, mac1, ""); err != nil || m.Welcome == nil {
		t.Errorf("the other PC was answered by %+v, %v", m, err)
	}
	bad.denied(s, mac2, "", protocol.CloseDenied)
	if _, m, err := newStranger(t).hello(s, mac2, s.ticket(mac2)); err != nil || m.Welcome == nil {
		t.Errorf("the restarted PC was answered by %+v, %v", m, err)
	}
}

func TestKeyThatMovesLeavesNoRecord(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	x := newStranger(t)
	conn, _, err := x.hello(s, mac1, s.ticket(mac1))
	check(t, err)
	conn.Close(1000, "")
	// The operator removes the computer while the PC is away; it comes back with its key as a new one.
	old, err := s.catalog.ComputerByMAC(mac1)
	check(t, err)
	check(t, s.catalog.RemoveComputer(old.ID))
	if _, m, err := x.hello(s, mac1, ""); err != nil || m.Welcome == nil {
		t.Fatalf("the PC was answered by %+v, %v", m, err)
	}
	moved, err := s.catalog.ComputerByMAC(mac1)
	check(t, err)
	var records []string
	check(t, s.catalog.EachRecord(catalog.Enrolments, func(id string, _ []byte) error {
		records = append(records, id)
		return nil
	}))
	if got, want := strings.Join(records, " "), moved.ID; got != want {
		t.Errorf("enrolments of %q, want only %q", got, want)
	}
}
