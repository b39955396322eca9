package appliance

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"aula/appliance/catalog"
	"aula/netboot"
	"aula/netboot/lease"
)

// refusal is DHCP that takes reservations, unless it says why not.
type refusal struct{ err error }

func (r *refusal) Reserve([]lease.Reservation) error { return r.err }

// noticeBoard keeps what is told.
type noticeBoard struct{ told []string }

func (*noticeBoard) Observe(netboot.Event) {}

func (b *noticeBoard) Notify(n netboot.Notice) {
	if n.Gone {
		n.Text = "gone"
	}
	b.told = append(b.told, n.Text)
}

func TestWhatCannotBeReservedIsToldOnce(t *testing.T) {
	cat, err := catalog.Open(filepath.Join(t.TempDir(), "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cat.Close() }()
	var to refusal
	var board noticeBoard
	r := &reservations{catalog: cat, to: &to, notices: &board}
	for _, to.err = range []error{nil, errors.New("a"), errors.New("a"), errors.New("b"), nil, nil} {
		r.tell()
	}
	if want := []string{"Not every address is reserved: a.", "Not every address is reserved: b.", "gone"}; !slices.Equal(board.told, want) {
		t.Errorf("told %q, want %q", board.told, want)
	}
}
