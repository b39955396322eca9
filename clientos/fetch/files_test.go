package fetch

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"

	"aula/clientos/clone"
	"aula/clientos/protocol"
)

const mib = 1 << 20

var errCancelled = errors.New("the operator has cancelled")

// TestUnicastGoesOn has connections that break, a fetch that is cancelled, and one that goes on with what that left.
func TestUnicastGoesOn(t *testing.T) {
	a := newAppliance(t)
	images := []protocol.Image{a.add("boot", 300_001), a.add("system", 9*mib+5), a.add("home", 0+1)}
	in := instruct("", "", images...)
	pc := newCache(t, images...)
	a.cutAfter = 2 * mib
	ctx, cancel := context.WithCancelCause(t.Context())
	w := &witness{t: t, during: func(p Progress) {
		if p.Bytes > 5*mib {
			cancel(errCancelled)
		}
	}}
	if _, err := Files(ctx, config(a, ""), in, pc.files, nil, w.report); !errors.Is(err, errCancelled) {
		t.Fatalf("got %v, want %v", err, errCancelled)
	}
	noGoroutines(t)
	a.opened = nil
	w = &witness{t: t}
	if _, err := Files(t.Context(), config(a, ""), in, pc.files, nil, w.report); err != nil {
		t.Fatal(err)
	}
	if a.opened[0] < 4*mib {
		t.Errorf("it went on at byte %d of the file that was half there", a.opened[0])
	}
	w.complete()
	pc.check(a, "boot", "system", "home")

	a.opened = nil
	if _, err := Files(t.Context(), config(a, ""), in, pc.files, nil, func(Progress) {}); err != nil || len(a.opened) > 0 {
		t.Errorf("what is complete was fetched again, %d times: %v", len(a.opened), err)
	}
}

// TestWhatIsHadIsNotFetched has an image that nobody wants, and one that is named twice.
func TestWhatIsHadIsNotFetched(t *testing.T) {
	a := newAppliance(t)
	images := []protocol.Image{a.add("boot", 3000), a.add("system", 5000)}
	pc := newCache(t, images...)
	pc.files = append(pc.files, pc.files[1])
	w := &witness{t: t}
	if _, err := Files(t.Context(), config(a, ""), instruct(protocol.Unicast, "", images...), pc.files, map[string]bool{"boot": true}, w.report); err != nil {
		t.Fatal(err)
	}
	pc.check(a, "system")
	if w.all[0].Total != 5000 || len(a.opened) != 1 {
		t.Errorf("total %d in %d connections", w.all[0].Total, len(a.opened))
	}
}

// TestUnicastFailures has the server's last word, and a folder that is not there.
func TestUnicastFailures(t *testing.T) {
	a := newAppliance(t)
	image := a.add("system", 5000)
	pc := newCache(t, image)
	gone := image
	gone.Name = "gone"
	_, err := Files(t.Context(), config(a, ""), instruct("", "", gone), []File{{gone, pc.files[0].Path}}, nil, func(Progress) {})
	wantFailure(t, err, protocol.ErrNotFound)
	pc.check(a) // nothing came, and nothing is left
	_, err = Files(t.Context(), config(a, ""), instruct("", "", image), []File{{image, pc.folder + "/none/file"}}, nil, func(Progress) {})
	wantFailure(t, err, protocol.ErrUpdate)
	_, err = Files(t.Context(), config(a, ""), instruct("PIGEON", "", image), pc.files, nil, func(Progress) {})
	wantFailure(t, err, protocol.ErrFormat)
}

// TestJournal reads what it wrote, and nothing else.
func TestJournal(t *testing.T) {
	t.Parallel()
	j := journal{id: [32]byte{7}, size: 1000, have: clone.Ranges{{Offset: 0, Length: 10}, {Offset: 500, Length: 500}}}
	got, err := decodeJournal(j.encode())
	if err != nil || got.id != j.id || got.size != j.size || !slices.Equal(got.have, j.have) || got.end() != 1000 {
		t.Errorf("got %+v, %v; want %+v", got, err, j)
	}
	whole := j.encode()
	for i := range whole {
		damaged := slices.Clone(whole)
		damaged[i] ^= 1
		if _, err := decodeJournal(damaged); !errors.Is(err, errJournal) {
			t.Fatalf("byte %d damaged: %v", i, err)
		}
		if _, err := decodeJournal(whole[:i]); !errors.Is(err, errJournal) {
			t.Fatalf("cut after %d bytes: %v", i, err)
		}
	}
	for _, have := range []clone.Ranges{
		{{Offset: 990, Length: 11}}, {{Offset: 5, Length: 5}, {Offset: 9, Length: 1}}, {{Offset: 5, Length: -1}}, {{Offset: -5, Length: 9}},
	} {
		if _, err := decodeJournal(journal{size: 1000, have: have}.encode()); !errors.Is(err, errJournal) {
			t.Errorf("%v: %v", have, err)
		}
	}
}

// TestPartialBelievesNoOther has a journal of another image, a file that was cut, and no journal.
func TestPartialBelievesNoOther(t *testing.T) {
	t.Parallel()
	image := protocol.Image{Name: "win", Revision: 1, FileBytes: 4 * mib}
	begun := func(t *testing.T) File {
		f := File{image, t.TempDir() + "/win.new"}
		p, err := openPartial(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(p.write(mib, make([]byte, 2*mib)), p.close()); err != nil {
			t.Fatal(err)
		}
		return f
	}
	for name, test := range map[string]struct {
		change func(f *File) error
		want   int64
	}{
		"as it was":      {func(f *File) error { return nil }, 2 * mib},
		"other revision": {func(f *File) error { f.Image.Revision = 2; return nil }, 0},
		"cut":            {func(f *File) error { return os.Truncate(f.Path+".partial", 2*mib) }, 0},
		"no journal":     {func(f *File) error { return os.Remove(f.Path + ".partial.blocks") }, 0},
		"no file":        {func(f *File) error { return os.Remove(f.Path + ".partial") }, 0},
	} {
		f := begun(t)
		if err := test.change(&f); err != nil {
			t.Fatal(err)
		}
		p, err := openPartial(f)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.have.Bytes(); got != test.want {
			t.Errorf("%s: it goes on with %d bytes, want %d", name, got, test.want)
		}
		if err := p.finish(); err == nil {
			t.Errorf("%s: it finished without all bytes", name)
		}
		if err := p.close(); err != nil {
			t.Error(err)
		}
	}
}

// TestPartialAfterAKill has what the journal had been told, and nothing of what came after.
func TestPartialAfterAKill(t *testing.T) {
	t.Parallel()
	f := File{protocol.Image{Name: "win", Revision: 1, FileBytes: 4 * mib}, t.TempDir() + "/win.new"}
	p, err := openPartial(f)
	if err != nil {
		t.Fatal(err)
	}
	p.saved = p.saved.Add(-journalEvery) // it is time for the journal
	if err := errors.Join(p.write(0, make([]byte, mib)), p.settle(), p.write(2*mib, make([]byte, mib))); err != nil {
		t.Fatal(err)
	}
	if err := p.file.Close(); err != nil { // and nothing more, as when it is killed
		t.Fatal(err)
	}
	p, err = openPartial(f)
	if err != nil {
		t.Fatal(err)
	}
	if want := (clone.Ranges{{Offset: 0, Length: mib}}); !slices.Equal(p.have, want) {
		t.Errorf("it goes on with %v, want %v", p.have, want)
	}
	if err := errors.Join(p.write(mib, make([]byte, 3*mib)), p.finish(), p.close()); err != nil {
		t.Error(err)
	}
}

// TestSessionsThatCannotBe are told by a server that has lost its mind.
func TestSessionsThatCannotBe(t *testing.T) {
	t.Parallel()
	f := &follower{}
	good := protocol.Session{Server: "10.0.0.1", Port: 9000, Group: "239.1.2.3", Key: make([]byte, 32)}
	key, group, server, broadcast := good, good, good, good
	key.Key, group.Group, server.Server, broadcast.Group = make([]byte, 31), "239.1.2", "aula", ""
	for name, s := range map[string]protocol.Session{"key": key, "group": group, "server": server} {
		if _, err := f.receiver(s); err == nil {
			t.Errorf("%s: %+v was taken", name, s)
		}
	}
	if cfg, err := f.receiver(broadcast); err != nil || cfg.Group.String() != "255.255.255.255" {
		t.Errorf("broadcast: %+v, %v", cfg, err)
	}
}

// TestJoiningIsTriedForLong has a server that answers nothing of use for more than a quarter of an hour.
func TestJoiningIsTriedForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &appliance{t: t, images: map[string]*stored{}, refuse: errors.New("connection refused")}
		image := protocol.Image{Name: "win", Revision: 1, FileBytes: 4 * mib}
		began := time.Now()
		w := &witness{t: t}
		_, err := Files(t.Context(), config(a, ""), instruct(protocol.Multicast, "", image), newCache(t, image).files, nil, w.report)
		wantFailure(t, err, protocol.ErrJoin)
		if took := time.Since(began); took < patience || took > patience+time.Minute {
			t.Errorf("it took %s", took)
		}
		if a.joined < 50 {
			t.Errorf("it asked %d times", a.joined)
		}
	})
}

// TestMulticastSurvivesItsSender has a sender that is killed midway, a PC that is stopped and starts again, and an image that the PC has, whose blocks its
// neighbours share.
func TestMulticastSurvivesItsSender(t *testing.T) {
	a := newAppliance(t)
	images := []protocol.Image{a.add("boot", 1*mib+77), a.add("had", 1*mib+13), a.add("system", 9*mib+5), a.add("tiny", 3)}
	a.multicast(9770, 30, images...)
	in := instruct(protocol.Multicast, "", images...)
	pc := newCache(t, images...)
	have := map[string]bool{"had": true}
	var once bool
	w := &witness{t: t, during: func(p Progress) {
		if p.Bytes > 3*mib && !once {
			once = true
			a.kill()
		}
	}}
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := Files(ctx, config(a, ""), in, pc.files, have, func(p Progress) {
		w.report(p)
		if p.Bytes > 6*mib {
			cancel(errCancelled)
		}
	})
	if !errors.Is(err, errCancelled) {
		t.Fatalf("got %v, want %v", err, errCancelled)
	}
	if waited := slices.ContainsFunc(w.all, func(p Progress) bool { return p.Waiting && p.Bytes == 0 }); a.joined < 2 || !waited {
		t.Errorf("it joined %d times, waiting %t", a.joined, waited)
	}
	a.kill()

	w = &witness{t: t}
	if _, err := Files(t.Context(), config(a, ""), in, pc.files, have, w.report); err != nil {
		t.Fatal(err)
	}
	if i := slices.IndexFunc(w.all, func(p Progress) bool { return p.Waiting }); i < 0 || w.all[i].Bytes < 5*mib {
		t.Errorf("it did not go on with what had come: %+v", w.all[:3])
	}
	w.complete()
	pc.check(a, "boot", "system", "tiny")
	noGoroutines(t)
}

// TestMulticastToARoom has three PCs in one session, of which one has an image already, one comes when the others are half done, and a sender that is
// killed.
func TestMulticastToARoom(t *testing.T) {
	a := newAppliance(t)
	images := []protocol.Image{a.add("boot", mib+77), a.add("system", 7*mib+5)}
	a.multicast(9776, 30, images...)
	a.parcel.Session.Computers = 2
	in := instruct(protocol.Multicast, "", images...)
	var room errgroup.Group
	half := make(chan struct{})
	for i, have := range []map[string]bool{{"boot": true}, nil, nil} {
		pc, w := newCache(t, images...), &witness{t: t}
		if i == 0 {
			var once bool
			w.during = func(p Progress) {
				if p.Bytes > 3*mib && !once {
					once = true
					a.kill()
					close(half)
				}
			}
		}
		room.Go(func() error {
			if i == 2 {
				<-half
			}
			cfg := config(a, "")
			cfg.Name = fmt.Sprintf("pc-%d", i)
			if _, err := Files(t.Context(), cfg, in, pc.files, have, w.report); err != nil {
				return fmt.Errorf("%s: %w", cfg.Name, err)
			}
			w.complete()
			if have["boot"] {
				pc.check(a, "system")
			} else {
				pc.check(a, "boot", "system")
			}
			return nil
		})
	}
	if err := room.Wait(); err != nil {
		t.Fatal(err)
	}
	noGoroutines(t)
}

// TestMulticastIsCancelledWhileItWaits has a session that waits for PCs which do not come.
func TestMulticastIsCancelledWhileItWaits(t *testing.T) {
	a := newAppliance(t)
	image := a.add("system", mib)
	a.multicast(9778, 30, image)
	a.parcel.Session.Computers = 5
	pc := newCache(t, image)
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(3*time.Second, func() { cancel(errCancelled) })
	w := &witness{t: t}
	if _, err := Files(ctx, config(a, ""), instruct(protocol.Multicast, "", image), pc.files, nil, w.report); !errors.Is(err, errCancelled) {
		t.Errorf("got %v, want %v", err, errCancelled)
	}
	if a.joined != 1 || !slices.ContainsFunc(w.all, func(p Progress) bool { return p.Waiting }) {
		t.Errorf("it joined %d times: %+v", a.joined, w.all)
	}
	pc.check(a)
	noGoroutines(t)
}

// TestMulticastThenUnicast goes on by another way.
func TestMulticastThenUnicast(t *testing.T) {
	a := newAppliance(t)
	image := a.add("system", 6*mib)
	a.multicast(9772, 30, image)
	pc := newCache(t, image)
	ctx, cancel := context.WithCancelCause(t.Context())
	_, err := Files(ctx, config(a, ""), instruct(protocol.Multicast, "", image), pc.files, nil, func(p Progress) {
		if p.Bytes > 2*mib {
			cancel(errCancelled)
		}
	})
	if !errors.Is(err, errCancelled) {
		t.Fatalf("got %v, want %v", err, errCancelled)
	}
	w := &witness{t: t}
	if _, err := Files(t.Context(), config(a, ""), instruct("", "", image), pc.files, nil, w.report); err != nil {
		t.Fatal(err)
	}
	if w.all[0].Bytes < 2*mib || a.opened[0] == 0 {
		t.Errorf("it began with %d bytes, and asked for those from %d on", w.all[0].Bytes, a.opened[0])
	}
	w.complete()
	pc.check(a, "system")
}

// TestMulticastFailures has a server that lets nobody join, one whose session is of other images, and a cancel while the session is waited for.
func TestMulticastFailures(t *testing.T) {
	a := newAppliance(t)
	image, other := a.add("system", mib), a.add("other", 2*mib)
	pc := newCache(t, image)
	in := instruct(protocol.Multicast, "", image)
	a.refuse = &protocol.Failure{Code: protocol.ErrJoin, Problem: "the session is full", Advice: "wait"}
	_, err := Files(t.Context(), config(a, ""), in, pc.files, nil, func(Progress) {})
	wantFailure(t, err, protocol.ErrJoin)

	a.refuse = errors.New("not yet")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(300*time.Millisecond, func() { cancel(errCancelled) })
	if _, err := Files(ctx, config(a, ""), in, pc.files, nil, func(Progress) {}); !errors.Is(err, errCancelled) {
		t.Errorf("cancelled while joining: %v", err)
	}

	a.refuse = nil
	a.multicast(9774, 30, other)
	a.parcel.Session.Computers = 2 // of whom one never comes
	ctx, cancel = context.WithCancelCause(t.Context())
	time.AfterFunc(3*time.Second, func() { cancel(errCancelled) })
	_, err = Files(ctx, config(a, ""), in, pc.files, nil, func(Progress) {})
	wantFailure(t, err, protocol.ErrMulticast) // the size is known before it begins
	pc.check(a)
	noGoroutines(t)
}

// TestSwarm has two files by BitTorrent, a PC that is stopped and starts again, and shares in the end until it is told not to.
func TestSwarm(t *testing.T) {
	a := newAppliance(t)
	images := []protocol.Image{a.add("boot", mib+77), a.add("system", 8*mib+5)}
	a.swarm("127.0.71.1", 4*mib)
	in := instruct(protocol.Torrent, "peer:60", images...)
	pc := newCache(t, images...)
	ctx, cancel := context.WithCancelCause(t.Context())
	w := &witness{t: t}
	_, err := Files(ctx, config(a, "127.0.71.2"), in, pc.files, nil, func(p Progress) {
		w.report(p)
		if p.Bytes > 3*mib {
			cancel(errCancelled)
		}
	})
	if !errors.Is(err, errCancelled) {
		t.Fatalf("got %v, want %v", err, errCancelled)
	}
	noGoroutines(t)
	w = &witness{t: t}
	sharing, err := Files(t.Context(), config(a, "127.0.71.2"), in, pc.files, nil, w.report)
	if err != nil {
		t.Fatal(err)
	}
	defer sharing.Close()
	if w.all[0].Bytes < 3*mib {
		t.Errorf("it went on with %d bytes", w.all[0].Bytes)
	}
	w.complete()
	if left := sharing.Left(); left <= 0 || left > time.Minute {
		t.Errorf("it shares for %s more", left)
	}
	pc.check(a, "boot", "system")
	ctx, cancel = context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(errCancelled) })
	if err := sharing.Wait(ctx); !errors.Is(err, errCancelled) {
		t.Errorf("Wait: %v, want %v", err, errCancelled)
	}
	if err := sharing.Wait(t.Context()); err != nil || sharing.Left() != 0 {
		t.Errorf("it is over: %v, %s left", err, sharing.Left())
	}
	noGoroutines(t)
}

// TestSwarmFailures has parameters that say nothing, and a port that is taken.
func TestSwarmFailures(t *testing.T) {
	a := newAppliance(t)
	image := a.add("system", mib)
	a.swarm("127.0.71.3", 0)
	pc := newCache(t, image)
	_, err := Files(t.Context(), config(a, "127.0.71.4"), instruct(protocol.Torrent, "peer", image), pc.files, nil, func(Progress) {})
	wantFailure(t, err, protocol.ErrFormat)
	none, err := Files(t.Context(), config(a, "127.0.71.4"), instruct(protocol.Torrent, "", image), pc.files, map[string]bool{"system": true}, func(Progress) {})
	if err != nil || none.Left() != 0 || none.Close() != nil {
		t.Errorf("nothing to fetch: %v", err)
	}
	first, err := Files(t.Context(), config(a, "127.0.71.4"), instruct(protocol.Torrent, "", image), pc.files, nil, func(Progress) {})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	taken := config(a, "")
	taken.Listen = fmt.Sprintf("127.0.71.4:%d", first.client.Port())
	_, err = Files(t.Context(), taken, instruct(protocol.Torrent, "", image), newCache(t, image).files, nil, func(Progress) {})
	wantFailure(t, err, protocol.ErrGeneric)
	pc.check(a, "system")
}
