package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"aula/clientos/clone"
	"aula/clientos/protocol"
	"aula/imagestore/format"
	"aula/imagestore/format/formattest"
	"aula/imagestore/multicast"
)

// compressed stores an image of a partition whose bytes do not shrink, as Aula compresses it.
func (a *appliance) compressed(name string, megabytes int) protocol.Image {
	a.t.Helper()
	content := make([]byte, megabytes*mib)
	rand.NewChaCha8([32]byte{byte(len(name))}).Read(content)
	model := formattest.Partclone{
		Filesystem: "EXTFS", BlockSize: 4096, DeviceSize: int64(len(content)), Blocks: len(content) / 4096,
		Used: func(i int) bool { return i%700 < 600 }, Content: content, Checksum: 0x20,
	}
	var file bytes.Buffer
	w, err := format.NewWriter(&file, format.Zstd, 0)
	if err == nil {
		_, err = w.Write(model.Encode())
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		a.t.Fatal(err)
	}
	image := a.store(name, file.Bytes())
	r, err := format.NewReader(bytes.NewReader(file.Bytes()))
	if err != nil {
		a.t.Fatal(err)
	}
	defer r.Close()
	var b format.IndexBuilder
	for {
		off, run, err := r.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = b.Add(off, run)
		}
		if err != nil {
			a.t.Fatal(err)
		}
	}
	a.images[name].index = b.Index(r.Info())
	image.UsedBytes, image.RequiredBytes = r.Info().UsedBytes, r.Info().RequiredBytes
	return image
}

// targets are where images are delivered to, with one memory for all.
func targets(t *testing.T, a *appliance, memory int64, images ...protocol.Image) ([]clone.Placed, *clone.Budget) {
	t.Helper()
	budget := clone.NewBudget(memory)
	var placed []clone.Placed
	for _, image := range images {
		s := a.images[image.Name]
		m, err := format.MapFile(bytes.NewReader(s.file), int64(len(s.file)), s.index)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(filepath.Join(t.TempDir(), image.Name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		if err := f.Truncate(image.RequiredBytes); err != nil {
			t.Fatal(err)
		}
		scatter := clone.NewScatter(t.Context(), clone.ScatterConfig{Map: m, Index: s.index, Target: f, Size: image.RequiredBytes, Budget: budget})
		t.Cleanup(scatter.Close)
		placed = append(placed, clone.Placed{Image: image, To: scatter})
	}
	return placed, budget
}

// finished fails the test unless each target has each chunk, which the Scatter compares with the index.
func finished(t *testing.T, placed []clone.Placed) {
	t.Helper()
	for _, p := range placed {
		if err := p.To.Finish(); err != nil {
			t.Errorf("%s: %v", p.Image.Name, err)
		}
	}
}

// TestBlocksKeepToTheMemory has sessions that bring blocks of two images in the worst orders, with memory for a few stretches.
func TestBlocksKeepToTheMemory(t *testing.T) {
	t.Parallel()
	a := newAppliance(t)
	images := []protocol.Image{a.compressed("system", 24), a.compressed("home", 17)}
	in := instruct(protocol.Multicast, "", images...)
	var whole []byte
	for _, image := range images {
		whole = append(whole, a.images[image.Name].file...)
	}
	placed, _ := targets(t, a, 0, images...)
	memory := 6 * max(placed[0].To.StretchNeeds(), placed[1].To.StretchNeeds())
	for name, order := range map[string]func(n int) []int{
		"random":      func(n int) []int { return rand.New(rand.NewPCG(3, 1)).Perm(n) },
		"every other": func(n int) []int { return append(every(2, 0, n), every(2, 1, n)...) },
		"backwards":   func(n int) []int { b := every(1, 0, n); slices.Reverse(b); return b },
		"in order":    func(n int) []int { return every(1, 0, n) },
	} {
		placed, budget := targets(t, a, memory, images...)
		into := contentOf(t, Blocks(Config{}, in, nil), placed)
		sessions := 0
		for err := errPassed; err != nil; sessions++ {
			here, beginErr := into.Begin(multicast.Content{Size: into.size})
			if beginErr != nil {
				t.Fatal(beginErr)
			}
			for _, n := range order((len(whole) + multicast.BlockSize - 1) / multicast.BlockSize) {
				if low := n * multicast.BlockSize; !here.Has(int64(n)) {
					if err := into.WriteBlock(int64(low), whole[low:min(low+multicast.BlockSize, len(whole))]); err != nil {
						t.Fatalf("%s: %v", name, err)
					}
				}
			}
			if err = into.Finish(multicast.Content{}); err != nil && !errors.Is(err, errPassed) {
				t.Fatal(err)
			}
		}
		finished(t, placed)
		if budget.Most() > memory {
			t.Errorf("%s: it kept %d bytes of %d", name, budget.Most(), memory)
		}
		if name == "in order" && sessions > 1 || sessions > 60 {
			t.Errorf("%s: it took %d sessions", name, sessions)
		}
		t.Logf("%s: %d sessions, %d of %d bytes", name, sessions, budget.Most(), memory)
	}
}

// every lists each step-th number below n, from first on.
func every(step, first, n int) (list []int) {
	for i := first; i < n; i += step {
		list = append(list, i)
	}
	return list
}

// contentOf is what a session writes into.
func contentOf(t *testing.T, d clone.Delivery, placed []clone.Placed) *content {
	t.Helper()
	into, err := d.(*sessionBlocks).content(placed, &teller{})
	if err != nil {
		t.Fatal(err)
	}
	return into
}

// TestBlocksByMulticast has a sender that is killed midway.
func TestBlocksByMulticast(t *testing.T) {
	a := newAppliance(t)
	images := []protocol.Image{a.compressed("system", 8), a.compressed("home", 5)}
	a.multicast(9780, 40, images...)
	placed, _ := targets(t, a, 0, images...)
	var once bool
	w := &witness{t: t, during: func(p Progress) {
		if p.Bytes > 5*mib && !once {
			once = true
			a.kill()
		}
	}}
	d := Blocks(config(a, ""), instruct(protocol.Multicast, "", images...), w.report)
	if err := d.Deliver(t.Context(), placed); err != nil {
		t.Fatal(err)
	}
	finished(t, placed)
	w.complete() // each byte once
	if a.joined < 2 {
		t.Errorf("it joined %d times", a.joined)
	}
	noGoroutines(t)
}

// TestBlocksByTorrent has two images, of which one goes to two places.
func TestBlocksByTorrent(t *testing.T) {
	a := newAppliance(t)
	images := []protocol.Image{a.compressed("system", 8), a.compressed("home", 5)}
	images = append(images, images[1])
	a.swarm("127.0.71.5", 0)
	placed, _ := targets(t, a, 0, images...)
	w := &witness{t: t}
	d := Blocks(config(a, "127.0.71.6"), instruct(protocol.Torrent, "peer:60", images...), w.report)
	if size, err := d.BlockSize(t.Context(), images[0]); err != nil || size != 256<<10 {
		t.Errorf("blocks of %d bytes, %v", size, err)
	}
	began := time.Now()
	if err := d.Deliver(t.Context(), placed); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s: it lingers", took)
	}
	finished(t, placed)
	w.complete()
	noGoroutines(t)
}

// TestBlocksEndWithTheirContext cancels both ways midway.
func TestBlocksEndWithTheirContext(t *testing.T) {
	a := newAppliance(t)
	image := a.compressed("system", 8)
	a.multicast(9782, 40, image)
	a.swarm("127.0.71.7", 3*mib)
	for _, way := range []string{protocol.Multicast, protocol.Torrent} {
		ctx, cancel := context.WithCancelCause(t.Context())
		placed, _ := targets(t, a, 0, image)
		d := Blocks(config(a, "127.0.71.8"), instruct(way, "", image), func(p Progress) {
			if p.Bytes > 2*mib {
				cancel(errCancelled)
			}
		})
		if err := d.Deliver(ctx, placed); !errors.Is(err, errCancelled) {
			t.Errorf("%s: %v, want %v", way, err, errCancelled)
		}
		noGoroutines(t)
	}
	if d := Blocks(config(a, ""), instruct(protocol.Unicast, "", image), nil); d != nil {
		t.Errorf("UNICAST is delivered by %T", d)
	}
}
