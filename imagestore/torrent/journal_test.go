package torrent

import (
	"crypto/sha256"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"aula/imagestore/torrent/metainfo"
)

func randomJournal(random *rand.Rand, pieces int) pieceJournal {
	j := pieceJournal{length: random.Int64(), pieceLength: random.Int64(), file: fileIdentity{random.Uint64(), -random.Int64()}, have: make([]bool, pieces)}
	for i := range j.hash {
		j.hash[i] = byte(random.Uint32())
	}
	for i := range j.have {
		j.have[i] = random.Uint32()%2 == 0
	}
	return j
}

func TestPieceJournalIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 1))
	path := filepath.Join(t.TempDir(), "win.img.torrent.bf")
	for _, pieces := range []int{0, 1, 7, 8, 9, 1000, metainfo.MaxPieces} {
		want := randomJournal(random, pieces)
		if err := want.write(path); err != nil {
			t.Fatal(err)
		}
		if got, err := readPieceJournal(path); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("of %d pieces: %v, or it is another", pieces, err)
		}
	}
	checkNames(t, filepath.Dir(path), "win.img.torrent.bf")
}

func TestPieceJournalThatIsDamagedIsNone(t *testing.T) {
	t.Parallel()
	whole := randomJournal(rand.New(rand.NewPCG(2, 2)), 13).encode()
	path := filepath.Join(t.TempDir(), "win.img.torrent.bf")
	damaged := map[string][]byte{"a byte more": append(whole[:len(whole):len(whole)], 0), "OpenGnsys' bitfield": {0xff, 0xf0}}
	for n := range whole {
		damaged["torn"] = whole[:n]
		flipped := append([]byte(nil), whole...)
		flipped[n] ^= 0x10
		damaged["a bit flipped"] = flipped
		lost := append([]byte(nil), whole...)
		clear(lost[n:])
		damaged["zeros at the end"] = lost
		for name, b := range damaged {
			if _, err := decodePieceJournal(b); !errors.Is(err, errPieceJournal) {
				t.Fatalf("%s, at %d: got %v, want errPieceJournal", name, n, err)
			}
		}
	}
	if err := os.WriteFile(path, whole[:20], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := readPieceJournal(path); !errors.Is(err, errPieceJournal) {
		t.Errorf("read a torn one: got %v, want errPieceJournal", err)
	}
}

func TestPieceJournalServesItsTorrentAndFileOnly(t *testing.T) {
	t.Parallel()
	c := newContent(30, 9*4096, 4096)
	id := fileIdentity{12, 34}
	if j := newPieceJournal(c.Torrent, id, whole(c.Torrent)); !j.serves(c.Torrent, id) {
		t.Error("it does not serve its own")
	}
	for name, change := range map[string]func(*pieceJournal){
		"another torrent":         func(j *pieceJournal) { j.hash[19] ^= 1 },
		"another length":          func(j *pieceJournal) { j.length-- },
		"other pieces":            func(j *pieceJournal) { j.pieceLength *= 2 },
		"another count":           func(j *pieceJournal) { j.have = j.have[1:] },
		"another file":            func(j *pieceJournal) { j.file.inode++ },
		"another, of that inode":  func(j *pieceJournal) { j.file.born++ },
		"a file that was not yet": func(j *pieceJournal) { j.file = fileIdentity{} },
	} {
		j := newPieceJournal(c.Torrent, id, whole(c.Torrent))
		if change(&j); j.serves(c.Torrent, id) {
			t.Errorf("the journal of %s serves", name)
		}
	}
}

func signJournal(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(b[:len(b):len(b)], sum[:]...)
}

func FuzzPieceJournal(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 3))
	for _, pieces := range []int{0, 1, 8, 13} {
		f.Add(randomJournal(random, pieces).encode(), false)
		j := randomJournal(random, pieces).encode()
		f.Add(j[:len(j)-32], true)
	}
	f.Add([]byte(pieceJournalMagic), true)
	f.Fuzz(func(t *testing.T, b []byte, signed bool) {
		if signed { // so that what the checksum is of is tried, too
			b = signJournal(b)
		}
		j, err := decodePieceJournal(b)
		if err != nil {
			if !errors.Is(err, errPieceJournal) {
				t.Errorf("got %v, want errPieceJournal", err)
			}
			return
		}
		if again := j.encode(); string(again) != string(b) {
			t.Errorf("% x is read, and written as % x", b, again)
		}
	})
}
