package deployment

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

func TestCacheIsMadeFilledAndEmptied(t *testing.T) {
	t.Parallel()
	server := newRepository(t)
	p := newPC(t, server, modelTable)
	scheme := disk.Scheme{
		Table: "gpt", Cache: 64 * mib, Partitions: []disk.Planned{{Number: 1, Bytes: 50 * mib, Filesystem: "EXT4"}},
	}
	make := protocol.Instruct{ID: "make", Kind: protocol.PartitionDisk, Disk: p.disk(t).Ref(), Scheme: &scheme}
	if _, err := p.run(t.Context(), make); err != nil {
		t.Fatal(err)
	}
	if !p.dirty {
		t.Error("it does not say that the disk was written to")
	}
	p.wantCached(t, false)

	update := protocol.Instruct{ID: "update", Kind: protocol.UpdateCache, Parts: []protocol.Part{{Image: server.image()}}, Delivery: &throughCache}
	result, err := p.run(t.Context(), update)
	if err != nil || result.Verified != server.image().FileBytes || p.dirty {
		t.Errorf("verified %d bytes of %d, dirty %v, error %v", result.Verified, server.image().FileBytes, p.dirty, err)
	}
	p.wantCached(t, true)

	scheme.Cache = disk.KeepCache
	make.ID, make.Disk = "keep", p.disk(t).Ref()
	if _, err := p.run(t.Context(), make); err != nil {
		t.Fatal(err)
	}
	p.wantCached(t, true)
	result, err = p.run(t.Context(), p.restoring(t, protocol.Delivery{From: protocol.Cache}))
	p.wantRestored(t, result, err)

	forget := protocol.Instruct{ID: "forget", Kind: protocol.DeleteCached, Cached: []string{"model", "another"}}
	if _, err := p.run(t.Context(), forget); err != nil || p.dirty {
		t.Errorf("dirty %v, error %v", p.dirty, err)
	}
	p.wantCached(t, false)
	forget.Cached = []string{"../model"}
	_, err = p.run(t.Context(), forget)
	wantFailure(t, err, protocol.ErrFormat, "nothing was removed")
}

func TestPartitioningThatIsNotPossible(t *testing.T) {
	t.Parallel()
	p := newPC(t, newRepository(t), cacheTable)
	scheme := disk.Scheme{Table: "gpt", Partitions: []disk.Planned{{Number: 1, Bytes: 500 * mib, Filesystem: "EXT4"}}}
	_, err := p.run(t.Context(), protocol.Instruct{ID: "make", Kind: protocol.PartitionDisk, Disk: p.disk(t).Ref(), Scheme: &scheme})
	wantFailure(t, err, protocol.ErrSize, "")
	if p.dirty {
		t.Error("it says that the disk was written to")
	}
}

func TestWhatIsNotForTheAgent(t *testing.T) {
	t.Parallel()
	p := newPC(t, newRepository(t), modelTable)
	for _, in := range []protocol.Instruct{{Kind: protocol.RestoreImage}, {ID: "x", Kind: "dance"}, {ID: "x", Kind: protocol.Reboot}} {
		_, err := p.run(t.Context(), in)
		wantFailure(t, err, protocol.ErrFormat, "")
	}
	_, err := p.run(t.Context(), protocol.Instruct{ID: "x", Kind: protocol.DeleteCached, Cached: []string{"model"}})
	wantFailure(t, err, protocol.ErrNotCache, "no cache partition")
}

// TestUpdateReadsBackWhatWasNotReadLately has an image that rots after it came, and a record that tells no time of proof.
func TestUpdateReadsBackWhatWasNotReadLately(t *testing.T) {
	t.Parallel()
	server := newRepository(t)
	p := newPC(t, server, cacheTable)
	update := protocol.Instruct{ID: "update", Kind: protocol.UpdateCache, Parts: []protocol.Part{{Image: server.image()}}, Delivery: &throughCache}
	bring := func(note string, fetched bool) {
		t.Helper()
		server.sent()
		result, err := p.run(t.Context(), update)
		if err != nil || result.Verified != server.image().FileBytes {
			t.Fatalf("verified %d bytes, error %v", result.Verified, err)
		}
		if note != "" {
			p.wantNote(t, note)
		}
		if sent := server.sent(); (sent > 0) != fetched {
			t.Errorf("%d bytes were fetched", sent)
		}
	}
	// age makes the record tell no proof, and has the file rot besides when told to.
	age := func(rot bool) {
		t.Helper()
		open, err := p.Cache.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer open.Close()
		path, found := open.Find(server.image())
		if at := open.Proved(server.image()); !found || time.Since(at) > time.Hour {
			t.Fatalf("found %v, proved %v", found, at)
		}
		data, err := os.ReadFile(path + ".aula")
		err = errors.Join(err, os.WriteFile(path+".aula", bytes.Replace(data, []byte("proved"), []byte("before"), 1), 0o644))
		if err != nil || !open.Proved(server.image()).IsZero() {
			t.Fatalf("the record is not aged: %v", err)
		}
		if rot {
			flip(t, path, server.image().FileBytes/2)
		}
	}
	bring("", true)
	bring("was last read back", false)
	age(false)
	bring("had it already", false)
	bring("was last read back", false)
	age(true)
	bring("was damaged", true)
	p.wantCached(t, true)
}
