package deployment

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aula/clientos/protocol"
)

var throughCache = protocol.Delivery{From: protocol.Repo, Protocol: protocol.Unicast}

func TestRestoreThroughTheCache(t *testing.T) {
	t.Parallel()
	server := newRepository(t)
	p := newPC(t, server, cacheTable)
	in := p.restoring(t, throughCache)
	server.sent()
	result, err := p.run(t.Context(), in)
	p.wantRestored(t, result, err)
	p.wantCached(t, true)
	size := server.image().FileBytes
	if sent := server.sent(); sent < size || sent > size+size/2 {
		t.Errorf("%d bytes came over the network, want those of the file, %d, once", sent, size)
	}

	result, err = p.run(t.Context(), in)
	p.wantRestored(t, result, err)
	p.wantNote(t, "had it already")
	if sent := server.sent(); sent > size/2 {
		t.Errorf("%d bytes came over the network although the cache had the image", sent)
	}

	in = p.restoring(t, protocol.Delivery{From: protocol.Cache})
	result, err = p.run(t.Context(), in)
	p.wantRestored(t, result, err)
}

func TestRestoreWithoutRoomInACache(t *testing.T) {
	t.Parallel()
	server := newRepository(t)
	for name, test := range map[string]struct {
		table string
		code  int
		words string
	}{
		"no cache":  {modelTable, protocol.ErrNotCache, "no cache partition"},
		"too small": {smallTable, protocol.ErrCacheSize, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPC(t, server, test.table)
			server.sent()
			d := throughCache
			d.Fallback = protocol.None
			_, err := p.run(t.Context(), p.restoring(t, d))
			wantFailure(t, err, test.code, test.words)
			if sent := server.sent(); p.dirty || sent > server.image().FileBytes/2 {
				t.Errorf("dirty %v, %d bytes came", p.dirty, sent)
			}
			result, err := p.run(t.Context(), p.restoring(t, throughCache))
			p.wantRestored(t, result, err)
			p.wantNote(t, "straight to the disk by UNICAST")
			_, err = p.run(t.Context(), p.restoring(t, protocol.Delivery{From: protocol.Cache}))
			want := protocol.ErrNotFound
			if test.table == modelTable {
				want = protocol.ErrNotCache
			}
			wantFailure(t, err, want, "")
		})
	}
}

func TestImageThatDoesNotFitIsNotFetched(t *testing.T) {
	t.Parallel()
	server := newRepository(t)
	p := newPC(t, server, tightTable)
	for _, d := range []protocol.Delivery{throughCache, {Direct: true}} {
		server.sent()
		_, err := p.run(t.Context(), p.restoring(t, d))
		wantFailure(t, err, protocol.ErrSize, "are missing")
		if sent := server.sent(); sent != 0 || p.dirty {
			t.Errorf("%d bytes of the image were asked for, dirty %v", sent, p.dirty)
		}
	}
	p.wantCached(t, false)
}

func TestImageThatRottedInTheCache(t *testing.T) {
	t.Parallel()
	server := newRepository(t)
	p := newPC(t, server, cacheTable)
	update := protocol.Instruct{ID: "update", Kind: protocol.UpdateCache, Parts: []protocol.Part{{Image: server.image()}}, Delivery: &throughCache}
	rot := func() {
		t.Helper()
		open, err := p.Cache.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer open.Close()
		path, found := open.Find(server.image())
		if !found {
			t.Fatal("the cache does not have the image")
		}
		flip(t, path, server.image().FileBytes/2)
	}
	if result, err := p.run(t.Context(), update); err != nil || result.Verified != server.image().FileBytes {
		t.Fatalf("verified %d bytes, error %v", result.Verified, err)
	}
	rot()
	_, err := p.run(t.Context(), p.restoring(t, protocol.Delivery{From: protocol.Cache}))
	wantFailure(t, err, protocol.ErrImageFile, "")
	server.sent()
	result, err := p.run(t.Context(), p.restoring(t, throughCache))
	p.wantRestored(t, result, err)
	p.wantNote(t, "was damaged and was fetched again")
	if sent := server.sent(); sent < server.image().FileBytes {
		t.Errorf("%d bytes came", sent)
	}
	p.wantCached(t, true)
	result, err = p.run(t.Context(), p.restoring(t, protocol.Delivery{From: protocol.Cache}))
	p.wantRestored(t, result, err)
}

// flip changes a byte of a file as a failing disk does: nothing else tells.
func flip(t *testing.T, path string, offset int64) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1)
	_, err = f.ReadAt(b, offset)
	b[0] ^= 0x40
	_, writeErr := f.WriteAt(b, offset)
	if err := errors.Join(err, writeErr, f.Sync(), f.Close(), os.Chtimes(path, info.ModTime(), info.ModTime())); err != nil {
		t.Fatal(err)
	}
}

// TestWholeDiskWithTheCacheOnIt applies a layout to the disk that the cache is on.
func TestWholeDiskWithTheCacheOnIt(t *testing.T) {
	t.Parallel()
	server := newRepository(t)
	p := newPC(t, server, cacheTable)
	in := p.restoring(t, throughCache)
	in.Layout, in.Fit = server.layout, true
	result, err := p.run(t.Context(), in)
	p.wantRestored(t, result, err)
	p.wantCached(t, true)
	if sent := server.sent(); sent < server.image().FileBytes {
		t.Errorf("%d bytes came", sent)
	}
	in = p.restoring(t, protocol.Delivery{From: protocol.Cache})
	in.Layout, in.Fit = server.layout, true
	result, err = p.run(t.Context(), in)
	p.wantRestored(t, result, err)
}

func TestCancelInEachStage(t *testing.T) {
	t.Parallel()
	server := newRepository(t)
	cause := errors.New("cancelled by the operator")
	for _, stage := range []string{
		protocol.StagePreflight, protocol.StageCaching, protocol.StageVerifying, protocol.StageWriting, protocol.StageConfiguring,
	} {
		t.Run(stage, func(t *testing.T) {
			p := newPC(t, server, cacheTable)
			in := p.restoring(t, throughCache)
			in.Configuration = &protocol.Configuration{Scripts: []protocol.Script{{Name: "waits", Text: "sleep 60"}}}
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			p.during = func(now Progress) {
				if now.Stage == stage {
					cancel(cause)
				}
			}
			result, err := p.run(ctx, in)
			if stage == protocol.StageConfiguring { // what was proved stays so
				p.wantRestored(t, result, err)
				last := len(result.Warnings) - 1
				if last < 0 || !strings.Contains(result.Warnings[last].Problem, "not configured: cancelled by the operator") {
					t.Errorf("warnings %+v", result.Warnings)
				}
			} else if !errors.Is(err, cause) {
				t.Errorf("got %v, want the cause", err)
			}
			if got := p.stages[len(p.stages)-1]; got != stage {
				t.Errorf("it went on from %s to %s", stage, got)
			}
			p.wantUnmounted(t)
			p.during = nil
			in.Configuration = nil
			result, err = p.run(t.Context(), in) // and it can be gone on with
			p.wantRestored(t, result, err)
		})
	}
}

func TestConfigurationThatFails(t *testing.T) {
	t.Parallel()
	server := newRepository(t)
	for name, d := range map[string]protocol.Delivery{"through the cache": throughCache, "direct": {Direct: true}} {
		t.Run(name, func(t *testing.T) {
			p := newPC(t, server, cacheTable)
			in := p.restoring(t, d)
			in.Configuration = &protocol.Configuration{Scripts: []protocol.Script{{Name: "fails", Text: "echo no; exit 3"}, {Name: "works", Text: "true"}}}
			result, err := p.run(t.Context(), in)
			p.wantRestored(t, result, err)
			if len(result.Warnings) != 1 || len(result.Scripts) != 2 {
				t.Errorf("warnings %+v, scripts %+v", result.Warnings, result.Scripts)
			}
		})
	}
}

func TestMulticastThatIsClosed(t *testing.T) {
	t.Parallel()
	p := newPC(t, newRepository(t), cacheTable)
	d := throughCache
	d.Protocol = protocol.Multicast
	_, err := p.run(t.Context(), p.restoring(t, d))
	wantFailure(t, err, protocol.ErrMulticast, "no sessions here")
	if p.dirty {
		t.Error("the disk was written to")
	}
}

// TestFileThatCannotBeRead has a cache whose file is shorter than it was, behind its record: it is damaged, and nothing is waited for.
func TestFileThatCannotBeRead(t *testing.T) {
	t.Parallel()
	server := newRepository(t)
	path := filepath.Join(t.TempDir(), "short")
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	w := &work{report: func(Progress) {}}
	w.stage(protocol.StageWriting, 0)
	c := &cachedFile{server: cached{work: w}, image: server.image(), file: f, cache: f}
	b := make([]byte, 100)
	if n, err := c.Read(b); n != 5 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
	_, err = c.Read(b)
	wantFailure(t, err, protocol.ErrImageFile, "cannot be read from the cache")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
