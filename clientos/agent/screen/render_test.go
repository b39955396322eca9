package screen

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"aula/clientos/protocol"
)

var update = flag.Bool("update", false, "write the golden files anew")

// states are what people see, by a name for the golden file.
func states() map[string]State {
	base := State{
		Server: "10.77.0.1:7443", Address: "10.77.0.131", MAC: "52:54:00:12:34:56", Version: "0.1",
		Computer: "pc-07", Classroom: "Aula 3",
	}
	with := func(change func(s *State)) State {
		s := base
		change(&s)
		return s
	}
	return map[string]State{
		"no-link": with(func(s *State) {
			s.Computer, s.Classroom, s.Address = "", "", ""
			s.Phase, s.Problem = Trouble, "No link on eth0 (52:54:00:12:34:56)."
			s.Advice = "Check the network cable at this PC and at the switch."
		}),
		"pending": with(func(s *State) { s.Computer, s.Classroom, s.Phase, s.Code = "", "", Pending, "7KQ2XM" }),
		"ready":   with(func(s *State) { s.Phase = Ready }),
		"writing": with(func(s *State) {
			s.Phase, s.Kind, s.Image, s.Target, s.Stage = Working, protocol.RestoreImage, "debian13", "disk 1, partition 2", protocol.StageWriting
			s.Bytes, s.Total, s.Rate = 4_700_000_000, 10_000_000_000, 88_000_000
		}),
		"writing-without-server": with(func(s *State) {
			s.Phase, s.Kind, s.Image, s.Stage = Working, protocol.RestoreImage, "debian13", protocol.StageWriting
			s.Bytes, s.Total = 4_700_000_000, 10_000_000_000
			s.Problem, s.Advice = "The connection to the server was lost.", "This PC connects again by itself."
		}),
		"reading-unknown-size": with(func(s *State) {
			s.Phase, s.Kind, s.Image, s.Stage = Working, protocol.CreateImage, "win11", protocol.StageReading
			s.Bytes, s.Rate = 300<<20, 50<<20
		}),
		"done": with(func(s *State) {
			s.Phase, s.Kind, s.Image, s.Target = Done, protocol.RestoreImage, "debian13", "disk 1, partition 2"
			s.Proven = 10_000_000_000
		}),
		"failed": with(func(s *State) {
			s.Phase, s.Kind, s.Image, s.Target = Failed, protocol.RestoreImage, "debian13", "disk 1, partition 2"
			s.Problem = "partition 2 of disk 1 has 20.0 GiB and the image needs 40.0 GiB"
			s.Advice = "make the partition larger, or choose an image of a smaller one"
		}),
		"long-name": with(func(s *State) { s.Computer, s.Phase = "laboratorio-de-quimica-14", Ready }),
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	for name, state := range states() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			golden(t, name+".txt", strings.Join(Render(state, MinWidth, MinHeight), "\n")+"\n")
		})
	}
	golden(t, "ready-160x50.txt", strings.Join(Render(states()["ready"], 160, 50), "\n")+"\n")
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew); got:\n%s", path, got)
	}
}

func TestEveryPhaseFitsEveryScreen(t *testing.T) {
	t.Parallel()
	for name, s := range states() {
		for _, size := range [][2]int{{80, 25}, {40, 12}, {240, 67}, {0, 0}} {
			lines := Render(s, size[0], size[1])
			width, height := max(size[0], 20), max(size[1], 10)
			if len(lines) != height {
				t.Errorf("%s on %v: %d lines, want %d", name, size, len(lines), height)
			}
			for _, l := range lines {
				if n := utf8.RuneCountInString(l); n > width {
					t.Errorf("%s on %v: line of %d characters: %s", name, size, n, l)
				}
			}
		}
	}
}

func TestGlyphsAreRectangles(t *testing.T) {
	t.Parallel()
	for r, rows := range glyphs {
		for _, row := range rows {
			if len(row) != len(rows[0]) {
				t.Errorf("glyph %q has rows of %d and %d dots", r, len(rows[0]), len(row))
			}
		}
	}
	for _, r := range "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_. %" {
		if _, ok := glyphs[r]; !ok {
			t.Errorf("no glyph for %q", r)
		}
	}
}

func TestPainterRepaintsOnlyWhatChanged(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := NewPainter(&out, 80, 25)
	now := time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC)
	paint := func(s State) string {
		t.Helper()
		out.Reset()
		if err := p.Paint(s, now); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	s := states()["writing"]
	if first := paint(s); !strings.Contains(first, "\x1b[2J") || !strings.Contains(first, "Aula 3") {
		t.Errorf("first painting is %q", first)
	}
	if again := paint(s); again != "" {
		t.Errorf("nothing changed and %q was painted", again)
	}
	s.Bytes += 200 << 20
	now = now.Add(time.Second)
	if next := paint(s); next == "" || len(next) > 1000 || strings.Contains(next, "\x1b[2J") {
		t.Errorf("for a new number %d bytes were painted: %q", len(next), next)
	}
	now = now.Add(repaintAll)
	if whole := paint(s); !strings.Contains(whole, "\x1b[2J") {
		t.Error("the screen is never painted anew")
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"ready":   `aula-agent: ready pc=pc-07 classroom="Aula 3" server=10.77.0.1:7443`,
		"pending": `aula-agent: pending code=7KQ2XM server=10.77.0.1:7443`,
		"writing": `aula-agent: working restoreImage debian13 stage=writing pc=pc-07 classroom="Aula 3" server=10.77.0.1:7443`,
		"done":    `aula-agent: done restoreImage debian13 verified=10000000000 pc=pc-07 classroom="Aula 3" server=10.77.0.1:7443`,
	}
	for name, line := range want {
		if got := Line(states()[name]); got != line {
			t.Errorf("%s:\n got %s\nwant %s", name, got, line)
		}
	}
	s := states()["writing"]
	before := Line(s)
	s.Bytes, s.Rate = s.Bytes+1, s.Rate+1
	if Line(s) != before {
		t.Error("the line changes with every byte")
	}
}

func FuzzRender(f *testing.F) {
	f.Add("pc-07", "Aula 3", "No link on eth0", "writing", int64(5), int64(10), int64(1), 80, 25)
	f.Add("\x1b[2J\r\n", "\u009b31m", "a\tb", "", int64(-5), int64(-1), int64(-9), 3, -4)
	f.Fuzz(func(t *testing.T, name, room, problem, stage string, n, total, rate int64, width, height int) {
		width, height = width%500, height%200
		s := State{Computer: name, Classroom: room, Problem: problem, Stage: stage, Bytes: n, Total: total, Rate: rate, Image: name, Code: room}
		for _, phase := range []Phase{Starting, Trouble, Connecting, Denied, Pending, Ready, Working, Done, Failed, Cancelled, Restarting} {
			s.Phase = phase
			for _, l := range append(Render(s, width, height), Line(s)) {
				if strings.ContainsFunc(l, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
					t.Fatalf("%s: control characters in %q", phase, l)
				}
			}
		}
	})
}
