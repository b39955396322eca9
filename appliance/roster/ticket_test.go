package roster

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestTickets(t *testing.T) {
	t.Parallel()
	const pc, other = "52:54:00:00:00:01", "52:54:00:00:00:02"
	start := time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC)
	var table tickets
	id := table.issue(pc, start)
	if len(id) != 32 {
		t.Errorf("ticket %q, want 128 bits in hexadecimal", id)
	}
	if _, err := table.take(id, other, start); !errors.Is(err, errTicketOther) {
		t.Errorf("another PC: %v, want errTicketOther", err)
	}
	k, err := table.take(id, pc, start.Add(ticketLife-1))
	if err != nil {
		t.Fatalf("the owner, in good time: %v", err)
	}
	if _, err := table.take(id, pc, start); !errors.Is(err, errTicketUnknown) {
		t.Errorf("a second time: %v, want errTicketUnknown", err)
	}
	table.untake(k)
	if _, err := table.take(id, pc, start); err != nil {
		t.Errorf("after it was given back: %v", err)
	}
	late := table.issue(pc, start)
	if _, err := table.take(late, pc, start.Add(ticketLife)); !errors.Is(err, errTicketExpired) {
		t.Errorf("after its life: %v, want errTicketExpired", err)
	}
}

func TestTicketTableIsBounded(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC)
	var table tickets
	last := ""
	for i := range maxTickets + 100 {
		last = table.issue(fmt.Sprintf("52:54:00:00:%02x:%02x", i>>8, i&255), now)
	}
	if n := len(table.list); n > maxTickets {
		t.Errorf("%d tickets, want at most %d", n, maxTickets)
	}
	if table.list[len(table.list)-1].id != last {
		t.Error("the newest ticket was dropped")
	}
	for range 10 {
		table.issue("52:54:00:ff:ff:ff", now)
	}
	same := 0
	for _, k := range table.list {
		if k.mac == "52:54:00:ff:ff:ff" {
			same++
		}
	}
	if same != ticketsPerMAC {
		t.Errorf("%d tickets of one PC, want %d", same, ticketsPerMAC)
	}
	table.issue("52:54:00:00:00:01", now.Add(ticketLife))
	if n := len(table.list); n != 1 {
		t.Errorf("%d tickets when all but one are too old, want 1", n)
	}
}

func TestClockSetBackMakesNoTicketLast(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC)
	var table tickets
	table.issue("52:54:00:00:00:01", now.AddDate(1, 0, 0))
	table.issue("52:54:00:00:00:02", now)
	if n := len(table.list); n != 1 {
		t.Errorf("%d tickets, want only that of today", n)
	}
}
