package upkeep

import (
	"errors"
	"strings"
	"testing"

	"aula/imagestore"
)

func TestCopyAndMove(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.publish("main", "lab")
	b.publish("main", "lab")
	b.add("attic")
	b.add("cellar")
	copied := b.succeeds(b.Copy("ana", ImageRef{Name: "lab"}, "attic"))
	if copied.Kind != Copy || copied.Title != "Copy lab to repository attic" || !strings.Contains(copied.Results[0], "lab, revision 1 in repository attic: PARTCLONE:NONE:XFS:2800") {
		t.Errorf("got %+v", copied)
	}
	b.succeeds(b.Move("ana", ImageRef{Repository: "main", Name: "lab"}, "cellar"))
	if _, err := b.images.Image("main", "lab"); !errors.Is(err, imagestore.ErrNotFound) {
		t.Errorf("after the move it is still here: %v", err)
	}
	if img, err := b.images.Image("cellar", "lab"); err != nil || img.Revision != 2 {
		t.Errorf("after the move: revision %d, %v", img.Revision, err)
	}
}

func TestConvert(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.publish("main", "lab")
	ended := b.succeeds(b.Convert("ana", ImageRef{Name: "lab"}, imagestore.Conversion{Compressor: "LZOP"}))
	if ended.Title != "Convert lab to LZOP" || !strings.HasPrefix(ended.Results[0], "lab, revision 2 in repository main: PARTCLONE:LZOP:XFS:2800") {
		t.Errorf("got %+v", ended)
	}
	ended = b.succeeds(b.Convert("ana", ImageRef{Name: "lab"}, imagestore.Conversion{Compressor: "GZIP", Name: "lab-gz"}))
	if ended.Title != "Convert lab to GZIP as lab-gz" || ended.Done != ended.Total {
		t.Errorf("got %+v", ended)
	}
	if img, err := b.images.Image("main", "lab-gz"); err != nil || img.Info.Compressor != "GZIP" {
		t.Errorf("got %+v, %v", img, err)
	}
}

func TestMistakesAreToldAtOnce(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.publish("main", "lab")
	b.publish("main", "busy")
	b.add("attic")
	release, err := b.images.Hold("", "busy", 1, "restore on pc-07")
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	refused := func(_ Task, err error) error { return err }
	for _, c := range []struct {
		name string
		err  error
		want error
		says string
	}{
		{"copy of what is not there", refused(b.Copy("ana", ImageRef{Name: "win"}, "attic")), imagestore.ErrNotFound, "win"},
		{"copy to where it is", refused(b.Copy("ana", ImageRef{Name: "lab"}, "main")), ErrRefused, "already"},
		{"copy to no repository", refused(b.Copy("ana", ImageRef{Name: "lab"}, "loft")), ErrRefused, "loft"},
		{"copy from no repository", refused(b.Copy("ana", ImageRef{Repository: "loft", Name: "lab"}, "attic")), imagestore.ErrNoRepository, "loft"},
		{"move of a revision", refused(b.Move("ana", ImageRef{Name: "lab", Revision: 1}, "attic")), ErrRefused, "all its revisions"},
		{"move of what is in use", refused(b.Move("ana", ImageRef{Name: "busy"}, "attic")), imagestore.ErrBusy, "restore on pc-07"},
		{"verify what is not there", refused(b.Verify("ana", ImageRef{Name: "lab", Revision: 4})), imagestore.ErrNotFound, "4"},
		{"convert by an unknown compressor", refused(b.Convert("ana", ImageRef{Name: "lab"}, imagestore.Conversion{Compressor: "RAR"})), ErrRefused, "RAR"},
		{"convert by a level that is none", refused(b.Convert("ana", ImageRef{Name: "lab"}, imagestore.Conversion{Compressor: "ZSTD", Level: 99})), ErrRefused, "99"},
		{"convert to another image's name", refused(b.Convert("ana", ImageRef{Name: "lab"}, imagestore.Conversion{Compressor: "ZSTD", Name: "busy"})), ErrRefused, "busy"},
		{"convert to a bad name", refused(b.Convert("ana", ImageRef{Name: "lab"}, imagestore.Conversion{Compressor: "ZSTD", Name: "../lab"})), imagestore.ErrBadName, "lab"},
	} {
		if !errors.Is(c.err, c.want) || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: %v, want %v", c.name, c.err, c.want)
		}
	}
	if tasks := b.Tasks(); len(tasks) > 0 {
		t.Errorf("%d tasks were begun", len(tasks))
	}
}

func TestVerifyAllNamesWhatIsDamaged(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	attic := b.add("attic")
	b.publish("main", "good")
	b.publish("attic", "bad")
	b.publish("attic", "fine")
	damage(t, attic, "bad")
	ended := b.ends(b.Verify("ana", ImageRef{}))
	if ended.State != Failed || !strings.HasPrefix(ended.Problem, "1 of 3 revisions are not in order") || ended.Done != ended.Total || ended.Done == 0 {
		t.Errorf("got %+v", ended)
	}
	all := strings.Join(ended.Results, "\n")
	for _, want := range []string{"good, revision 1: in order", "fine, revision 1: in order", "bad, revision 1: "} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is not in %s", want, all)
		}
	}
	if s, _ := attic.Standing("bad"); s.State != imagestore.Damaged {
		t.Errorf("the damaged image is %s", s.State)
	}
	b.succeeds(b.Verify("ana", ImageRef{Name: "good"}))
}
