package deployment

import (
	"testing"

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
