package roster

import (
	"io"
	"log/slog"
	"testing"

	"aula/clientos/protocol"
	"aula/imagestore"
)

// oneOrder is Work that has one instruction.
type oneOrder struct {
	Work
	computer, instruction string
}

func (o oneOrder) Entitled(computer, instruction string) (protocol.Instruct, bool) {
	return protocol.Instruct{ID: instruction}, computer == o.computer && instruction == o.instruction
}

// Staged images of a PC that has something else to do now, and never said so, are not kept for ever; what is being sent is not touched.
func TestUploadsThatNobodyWaitsForAreSwept(t *testing.T) {
	t.Parallel()
	repo, err := imagestore.Open(t.TempDir(), imagestore.Options{Name: "main"})
	if err != nil {
		t.Fatal(err)
	}
	defer repo.Close()
	stage := func(name string) *imagestore.Staging {
		t.Helper()
		s, err := repo.Stage(name, imagestore.Source{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	ended := func(s *imagestore.Staging) bool {
		_, err := io.WriteString(s, "more")
		return err != nil
	}
	waited, forgotten, sending := stage("waited"), stage("forgotten"), stage("sending")
	r := &Roster{
		cfg: Config{Work: oneOrder{computer: "pc-1", instruction: "i1"}, Log: slog.New(slog.DiscardHandler)},
		uploads: map[string]*upload{
			"pc-1": {instruction: "i1", whole: true, staged: map[int]*imagestore.Staging{1: waited}},
			"pc-2": {instruction: "i2", whole: true, staged: map[int]*imagestore.Staging{1: forgotten}},
			"pc-3": {instruction: "i3", whole: true, staged: map[int]*imagestore.Staging{1: sending}, active: true},
		},
	}
	r.sweepUploads()
	if ended(waited) || !ended(forgotten) || ended(sending) || len(r.uploads) != 2 {
		t.Errorf("waited for: %t, forgotten: %t, being sent: %t ended; %d uploads are left", ended(waited), ended(forgotten), ended(sending), len(r.uploads))
	}
	r.dropUpload("pc-3", "i3")
	if ended(sending) {
		t.Error("what is being sent was thrown away by who does not have it")
	}
	r.endUpload("pc-3", r.uploads["pc-3"])
	if !ended(sending) {
		t.Error("what was sent for a verdict that is stored already is kept")
	}
	r.endUploads()
	if !ended(waited) || len(r.uploads) != 0 {
		t.Errorf("%d uploads are left at the end", len(r.uploads))
	}
}
