package webui

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"aula/appliance/upkeep"
	"aula/clientos/protocol"
	"aula/imagestore/format"
	"aula/imagestore/format/formattest"
	"aula/webui/api"
	"aula/webui/client"
)

func TestImagesThroughTheAPI(t *testing.T) {
	b := newBed(t)
	c := b.socketClient()
	ctx := t.Context()

	// The object first, then the file.
	registered, err := c.RegisterImage(ctx, api.NewImage{Name: "win11", ImageText: api.ImageText{
		DisplayName: "Windows 11", Profile: "Office", Partition: 3, PartitionType: "ntfs", Comments: "all rooms"}})
	b.check(err)
	if registered.State != "missing" || registered.PartitionType != "NTFS" || registered.Repository != "main" || registered.Revision != 0 {
		t.Errorf("registered: got %+v, want a missing image of main", registered)
	}
	if _, err := c.RegisterImage(ctx, api.NewImage{Name: "win11"}); !errors.Is(err, client.ErrConflict) {
		t.Errorf("registered twice: got %v, want a conflict", err)
	}
	if _, err := c.RegisterImage(ctx, api.NewImage{Name: "win 11"}); !errors.Is(err, client.ErrInvalid) || !strings.Contains(err.Error(), `"win_11" would do`) {
		t.Errorf("a bad name: got %v, want a suggestion", err)
	}
	if _, err := c.RegisterImage(ctx, api.NewImage{Name: "x", ImageText: api.ImageText{PartitionType: "big"}}); !errors.Is(err, client.ErrInvalid) || !strings.Contains(err.Error(), "LINUX-SWAP") {
		t.Errorf("a bad partition type: got %v, want the list", err)
	}
	if _, err := c.RegisterImage(ctx, api.NewImage{Name: "x", ImageText: api.ImageText{Repository: "nowhere"}}); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("a repository that is not there: got %v, want it refused", err)
	}
	pc := b.enrol(b.hall("Faculty", "Room 1"), 1)
	b.publish("win11", pc, false)
	b.clock.move(time.Hour)
	b.publish("win11", pc, false)
	img, err := c.Image(ctx, "win11")
	b.check(err)
	if img.State != "ready" || img.DisplayName != "Windows 11" || img.Partition != 3 || img.Revision != 2 || img.Info != "PARTCLONE:NONE:NTFS:256" || img.Verified.IsZero() {
		t.Errorf("linked by name: got %+v", img)
	}

	// The file first, then the object.
	_, err = b.stageAndPublish("debian", fromSystem("FOG"), 20)
	b.check(err)
	if img, err = c.DescribeImage(ctx, "debian", api.ImageText{Comments: "from FOG"}); err != nil || img.Comments != "from FOG" || img.System != "FOG" {
		t.Errorf("described: got %+v, %v", img, err)
	}
	if img.Said != (api.ImageText{DisplayName: "debian", Comments: "from FOG"}) {
		t.Errorf("described: said %+v; what is known from the file was not said", img.Said)
	}
	if all, err := c.Images(ctx); err != nil || len(all) != 2 || all[0].Name != "debian" {
		t.Errorf("images: got %+v, %v; want debian and win11", all, err)
	}

	revisions, err := c.Revisions(ctx, "win11")
	b.check(err)
	if len(revisions) != 2 || revisions[0].Revision != 2 || !revisions[0].Current || revisions[1].Current {
		t.Errorf("revisions: got %+v, want 2, which is current, and 1", revisions)
	}
	b.check(c.RemoveRevision(ctx, "win11", 1))
	if revisions, _ = c.Revisions(ctx, "win11"); len(revisions) != 1 {
		t.Errorf("after removing one: got %+v", revisions)
	}
	if err := c.RemoveRevision(ctx, "win11", 1); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("removing it again: got %v, want not found", err)
	}
}

// remove removes an image and returns what went to the trash.
func (b *bed) remove(c *client.Client, name string) *api.Trashed {
	b.t.Helper()
	removed, err := c.RemoveImage(b.t.Context(), name)
	b.check(err)
	return removed.Trash
}

// TestRemovingTellsWhatWentToTheTrash removes images of one name again and again: each answer is about its own removal.
func TestRemovingTellsWhatWentToTheTrash(t *testing.T) {
	b := newBed(t)
	c := b.socketClient()
	seen := map[string]bool{}
	for range 3 {
		_, err := b.stageAndPublish("win7", fromSystem("FOG"), 20)
		b.check(err)
		trashed := b.remove(c, "win7")
		if trashed == nil || trashed.Name != "win7" || trashed.Repository != "main" || len(trashed.Revisions) != 1 || seen[trashed.ID] {
			t.Fatalf("told %+v, want another one than %v", trashed, seen)
		}
		seen[trashed.ID] = true
	}
	_, err := c.RegisterImage(t.Context(), api.NewImage{Name: "empty"})
	b.check(err)
	if trashed := b.remove(c, "empty"); trashed != nil {
		t.Errorf("an image without a file: told %+v is in the trash", trashed)
	}
	options := b.images.Options()
	options.Trash = 0
	b.images.SetOptions(options)
	_, err = b.stageAndPublish("win7", fromSystem("FOG"), 20)
	b.check(err)
	if trashed := b.remove(c, "win7"); trashed != nil {
		t.Errorf("a repository without trash: told %+v is in it", trashed)
	}
}

func TestTrashKeepsWhatPeopleSaid(t *testing.T) {
	b := newBed(t)
	c := b.socketClient()
	ctx := t.Context()
	pc := b.enrol(b.hall("Faculty", "Room 1"), 1)
	b.publish("win11", pc, false)
	_, err := c.DescribeImage(ctx, "win11", api.ImageText{DisplayName: "Windows 11"})
	b.check(err)
	b.remove(c, "win11")
	if all, err := c.Images(ctx); err != nil || len(all) != 0 {
		t.Errorf("removed: still %+v, %v", all, err)
	}
	trash, err := c.Trash(ctx)
	b.check(err)
	if len(trash) != 1 || trash[0].Name != "win11" || trash[0].Repository != "main" || trash[0].Bytes == 0 || !trash[0].Expires.Equal(b.clock.Now().Add(30*24*time.Hour)) {
		t.Fatalf("trash: got %+v", trash)
	}
	b.check(c.Undelete(ctx, trash[0].ID))
	if img, err := c.Image(ctx, "win11"); err != nil || img.DisplayName != "Windows 11" || img.State != "ready" {
		t.Errorf("brought back: got %+v, %v", img, err)
	}
	if err := c.Undelete(ctx, trash[0].ID); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("brought back twice: got %v, want not found", err)
	}
	b.remove(c, "win11")
	trash, err = c.Trash(ctx)
	b.check(err)
	b.check(c.DiscardTrash(ctx, trash[0].ID))
	if trash, err = c.Trash(ctx); err != nil || len(trash) != 0 {
		t.Errorf("discarded: still %+v, %v", trash, err)
	}
}

func TestAnImageInUseIsNotRemoved(t *testing.T) {
	b := newBed(t)
	c := b.socketClient()
	pc := b.enrol(b.hall("Faculty", "Room 1"), 1)
	b.publish("win11", pc, false)
	release, err := b.images.Hold("win11", 1, "restore on pc-07")
	b.check(err)
	if _, err := c.RemoveImage(t.Context(), "win11"); !errors.Is(err, client.ErrConflict) || !strings.Contains(err.Error(), "restore on pc-07") {
		t.Errorf("got %v, want who holds it", err)
	}
	if img, err := c.Image(t.Context(), "win11"); err != nil || img.State != "locked" || len(img.Holders) != 1 {
		t.Errorf("got %+v, %v; want it locked", img, err)
	}
	release()
	b.remove(c, "win11")
}

func TestRepositoriesThroughTheAPI(t *testing.T) {
	b := newBed(t)
	c := b.socketClient()
	ctx := t.Context()
	dir := filepath.Join(t.TempDir(), "archive")
	added, err := c.AddRepository(ctx, api.RepositoryText{Name: "archive", Dir: dir, Keep: 1, TrashDays: 7})
	b.check(err)
	if added.Name != "archive" || added.Dir != dir || added.First || added.Size == 0 {
		t.Errorf("added: got %+v", added)
	}
	if _, err := c.AddRepository(ctx, api.RepositoryText{Name: "archive", Dir: dir + "2"}); !errors.Is(err, client.ErrConflict) {
		t.Errorf("added twice: got %v, want a conflict", err)
	}
	if _, err := c.AddRepository(ctx, api.RepositoryText{Name: "other", Dir: "relative"}); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("a relative folder: got %v, want it refused", err)
	}
	if changed, err := c.ChangeRepository(ctx, api.RepositoryText{Name: "archive", Keep: 5, Comments: "slow"}); err != nil || changed.Keep != 5 || changed.Comments != "slow" || changed.Dir != dir {
		t.Errorf("changed: got %+v, %v", changed, err)
	}

	_, err = b.stageAndPublish("win7", fromSystem("FOG"), 20)
	b.check(err)
	task, err := c.Copy(ctx, "win7", 0, "archive")
	b.check(err)
	if task, err = c.WaitTask(ctx, task.ID, nil); err != nil || task.State != upkeep.Done {
		t.Fatalf("copied: got %+v, %v", task, err)
	}
	all, err := c.Images(ctx)
	b.check(err)
	if len(all) != 2 || all[0].Repository != "main" || all[1].Repository != "archive" {
		t.Errorf("in both repositories: got %+v", all)
	}
	if all, err = c.In("archive").Images(ctx); err != nil || len(all) != 1 || all[0].Repository != "archive" {
		t.Errorf("in one repository: got %+v, %v", all, err)
	}
	if _, err := c.In("nowhere").Images(ctx); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("in a repository that is not there: got %v, want not found", err)
	}
	b.remove(c.In("main"), "win7")
	if img, err := c.Image(ctx, "win7"); err != nil || img.Repository != "archive" {
		t.Errorf("removed from main: got %+v, %v; want that of archive", img, err)
	}
	if task, err = c.In("archive").Move(ctx, "win7", "main"); err == nil {
		task, err = c.WaitTask(ctx, task.ID, nil)
	}
	if err != nil || task.State != upkeep.Done {
		t.Errorf("moved: got %+v, %v", task, err)
	}
	b.check(c.RemoveRepository(ctx, "archive"))
	if err := c.RemoveRepository(ctx, "main"); !errors.Is(err, client.ErrConflict) {
		t.Errorf("removing the first one: got %v, want a conflict", err)
	}
}

func TestExport(t *testing.T) {
	b := newBed(t)
	c := b.socketClient()
	ctx := t.Context()
	content := formattest.Partclone{Filesystem: "NTFS", Blocks: 64}
	_, err := b.stageAndPublish("win7", fromSystem("FOG"), 64)
	b.check(err)
	var out bytes.Buffer
	var last, total int64
	b.check(c.Export(ctx, "win7", 0, "", &out, func(d, t int64) { last, total = d, t }))
	if !bytes.Equal(out.Bytes(), content.Encode()) || last != int64(out.Len()) || total != last {
		t.Errorf("as it is: got %d bytes, told %d of %d; want the file", out.Len(), last, total)
	}
	out.Reset()
	b.check(c.Export(ctx, "win7", 1, format.Lzop, &out, nil))
	if info, err := format.Inspect(&out); err != nil || info.Compressor != format.Lzop || info.Tool != format.Partclone {
		t.Errorf("packed by LZOP: got %+v, %v", info, err)
	}
	if err := c.Export(ctx, "win7", 9, "", &out, nil); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a revision that is not there: got %v, want not found", err)
	}
	if err := c.Export(ctx, "win7", 0, "RAR", &out, nil); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("a compressor that is not there: got %v, want it refused", err)
	}
	if _, err := c.RegisterImage(ctx, api.NewImage{Name: "empty"}); err != nil {
		t.Fatal(err)
	}
	if err := c.Export(ctx, "empty", 0, "", &out, nil); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("an image without a file: got %v, want not found", err)
	}

	// A browser saves it under its name, and may resume.
	br := b.login(b.serve())
	got := br.get("/api/v1/images/win7/file").want(http.StatusOK)
	if got.Header.Get("Content-Disposition") != `attachment; filename="win7.img"` {
		t.Errorf("headers %v", got.Header)
	}
	part := br.request("GET", "/api/v1/images/win7/file", "", "")
	part.Header.Set("Range", "bytes=10-19")
	if got := br.do(part).want(http.StatusPartialContent); got.body != string(content.Encode()[10:20]) {
		t.Errorf("a part: got %q", got.body)
	}
	br.get("/api/v1/images/win7/torrent").want(http.StatusOK).has("8:announce", "win7.img")
	br.get("/api/v1/images/empty/torrent").want(http.StatusNotFound)
}

// TestADownloadHoldsItsImage begins one, which is larger than what lies between the two, and drops the connection in its middle.
func TestADownloadHoldsItsImage(t *testing.T) {
	b := newBed(t)
	c := b.socketClient()
	_, err := b.stageAndPublish("win7", fromSystem("FOG"), 8000)
	b.check(err)
	ctx, hangUp := context.WithCancel(t.Context())
	defer hangUp()
	r, err := http.NewRequestWithContext(ctx, "GET", "http://aula/api/v1/images/win7/file", nil)
	b.check(err)
	resp, err := c.HTTP.Do(r)
	b.check(err)
	defer resp.Body.Close()
	if _, err := c.RemoveImage(t.Context(), "win7"); !errors.Is(err, client.ErrConflict) || !strings.Contains(err.Error(), "download by ") {
		t.Errorf("removing it meanwhile: got %v, want who downloads it", err)
	}
	hangUp()
	b.eventually("the end of the download's hold", func() bool { return len(b.images.Holders("win7")) == 0 })
	b.remove(c, "win7")
}

func TestConvertAndVerifyThroughTheAPI(t *testing.T) {
	b := newBed(t)
	c := b.socketClient()
	ctx := t.Context()
	_, err := b.stageAndPublish("win7", fromSystem("FOG"), 64)
	b.check(err)
	wait := func(task api.Task, err error) api.Task {
		t.Helper()
		b.check(err)
		told := 0
		task, err = c.WaitTask(ctx, task.ID, func(api.Task) { told++ })
		b.check(err)
		if told == 0 {
			t.Error("nobody was told of the progress")
		}
		return task
	}
	if task := wait(c.Convert(ctx, "win7", api.Conversion{Compressor: format.Zstd})); task.State != upkeep.Done {
		t.Errorf("converted: got %+v", task)
	}
	if img, err := c.Image(ctx, "win7"); err != nil || img.Compressor != format.Zstd || img.Revision != 2 {
		t.Errorf("converted: got %+v, %v", img, err)
	}
	if task := wait(c.Verify(ctx, "win7", 0)); task.State != upkeep.Done {
		t.Errorf("verified: got %+v", task)
	}
	if task := wait(c.VerifyAll(ctx)); task.State != upkeep.Done {
		t.Errorf("all verified: got %+v", task)
	}
	b.damage("win7", 2)
	if task := wait(c.Verify(ctx, "win7", 2)); task.State != upkeep.Failed || task.Problem == "" {
		t.Errorf("a damaged one verified: got %+v, want it failed with the reason", task)
	}
	if _, err := c.Verify(ctx, "nothing", 0); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("verifying nothing: got %v, want not found", err)
	}
	all, err := c.Tasks(ctx)
	b.check(err)
	if len(all) != 4 || all[0].Kind != upkeep.Verify || all[3].Kind != upkeep.Convert || all[3].Actor != "administrator of this machine" {
		t.Errorf("tasks: got %+v, want the newest first", all)
	}
	b.check(c.CancelTask(ctx, all[0].ID)) // it has ended and stays as it is
	if _, err := c.Task(ctx, "nothing"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a task that is not there: got %v, want not found", err)
	}
}

// TestOnlyTheMachinesAdministratorImportsPaths: a user of the console could else read any file of the machine.
func TestOnlyTheMachinesAdministratorImportsPaths(t *testing.T) {
	b := newBed(t)
	file := filepath.Join(t.TempDir(), "win7.img")
	b.check(os.WriteFile(file, formattest.Partclone{Filesystem: "NTFS", Blocks: 64}.Encode(), 0o600))
	user := b.login(b.serve())
	body := `{"paths": ["` + file + `"]}`
	for _, path := range []string{"/api/v1/imports", "/api/v1/imports/examine"} {
		user.do(user.request("POST", path, "application/json", body)).want(http.StatusForbidden)
	}
	c := b.socketClient()
	plan, err := c.ExamineImport(t.Context(), api.Import{Paths: []string{file}})
	b.check(err)
	if len(plan.Images) != 1 || plan.Images[0].Name != "win7" {
		t.Errorf("examined: got %+v", plan)
	}
	task, err := c.Import(t.Context(), api.Import{Paths: []string{file}, Name: "win7-lab"})
	b.check(err)
	if task, err = c.WaitTask(t.Context(), task.ID, nil); err != nil || task.State != upkeep.Done {
		t.Fatalf("imported: got %+v, %v", task, err)
	}
	if img, err := c.Image(t.Context(), "win7-lab"); err != nil || img.Revision != 1 || img.Filesystem != "NTFS" {
		t.Errorf("imported: got %+v, %v", img, err)
	}
	for name, r := range map[string]api.Import{
		"nothing":                  {},
		"a path that is not there": {Paths: []string{file + "x"}},
		"both":                     {Paths: []string{file}, Upload: "x"},
	} {
		if _, err := c.ExamineImport(t.Context(), r); !errors.Is(err, client.ErrInvalid) {
			t.Errorf("%s examined: got %v, want it refused", name, err)
		}
		if _, err := c.Import(t.Context(), r); err == nil {
			t.Errorf("%s was imported", name)
		}
	}
}

// TestARestoreNamesRevisionAndRepository follows the choice from the form to the PC.
func TestARestoreNamesRevisionAndRepository(t *testing.T) {
	b := newBed(t)
	pc := b.enrol(b.hall("Faculty", "Room 1"), 1)
	b.publish("win11", pc, false)
	b.publish("win11", pc, false)
	b.start("restore", map[string][]string{"pc": {pc.ID}, "image": {"main/win11"}, "revision": {"1"}, "target": {"1/2"}})
	in := b.instruction(pc)
	if in.Kind != protocol.RestoreImage || len(in.Parts) != 1 || in.Parts[0].Image.Revision != 1 || in.Parts[0].Image.Repository != "main" || in.Parts[0].Partition != 2 {
		t.Errorf("the PC was told %+v, want revision 1 of main on partition 2", in.Parts)
	}
}
