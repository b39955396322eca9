package webui

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"aula/appliance/catalog"
	"aula/appliance/incorporation"
	"aula/appliance/upkeep"
	"aula/clientos/disk"
	"aula/imagestore"
	"aula/imagestore/format/formattest"
)

// fakeTasks are long work in states that a test says, instead of work that is done.
type fakeTasks struct {
	*upkeep.Service
	mu    sync.Mutex
	tasks []upkeep.Task
}

func (f *fakeTasks) set(tasks ...upkeep.Task) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tasks = tasks
}

func (f *fakeTasks) Tasks() []upkeep.Task {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tasks
}

func (f *fakeTasks) Task(id string) (upkeep.Task, error) {
	for _, t := range f.Tasks() {
		if t.ID == id {
			return t, nil
		}
	}
	return upkeep.Task{}, upkeep.ErrNoTask
}

// stage begins an image in the first repository.
func (b *bed) stage(name string, source imagestore.Source, content formattest.Partclone) (*imagestore.Staging, string) {
	b.t.Helper()
	st, err := b.images.Stage(name, source)
	if err != nil {
		b.t.Fatal(err)
	}
	plain := content.Encode()
	if _, err := st.Write(plain); err != nil {
		b.t.Fatal(err)
	}
	return st, fmt.Sprintf("%x", blake3.Sum256(plain))
}

// fillLibrary fills the repositories with images in every state, the trash, work that is done and that runs, and an upload that was cut.
func (b *bed) fillLibrary() {
	b.t.Helper()
	folder := filepath.Join(b.t.TempDir(), "archive")
	usb := filepath.Join(b.t.TempDir(), "usb")
	b.names = append(b.names, folder, "/srv/archive", usb, "/media/usb")
	b.check(b.upkeep.AddRepository(catalog.Repository{Name: "archive", Dir: folder, Address: "10.77.0.2", Keep: 1, TrashDays: 7, Comments: "The large, slow disks"}))
	b.check(b.upkeep.AddRepository(catalog.Repository{Name: "usb", Dir: usb}))
	b.set("lab-win10")
	b.states()
	_, old := b.stageAndPublish("win7-old", imagestore.Source{System: "FOG"}, 20)
	b.check(old)
	b.check(b.images.Remove("win7-old"))
	for _, t := range b.images.Trash() {
		b.names = append(b.names, t.ID, "ID-TRASH")
	}
	b.cutUpload()
	now := b.clock.Now().UTC()
	b.server.cfg.Upkeep = &fakeTasks{Service: b.upkeep, tasks: []upkeep.Task{
		{ID: "T4", Kind: upkeep.Convert, Actor: "admin", Title: "Convert win11-office to LZOP", Repository: "main", Image: "win11-office", State: upkeep.Running,
			Stage: "packing", Done: 9_300_000_000, Total: 22_000_000_000, Started: now.Add(-95 * time.Second)},
		{ID: "T3", Kind: upkeep.Copy, Actor: "admin", Title: "Copy lab-win10-p2 to archive", Repository: "archive", Image: "lab-win10-p2", State: upkeep.Running,
			Stage: "waiting for: Convert win11-office to LZOP", Started: now.Add(-40 * time.Second)},
		{ID: "T2", Kind: upkeep.Import, Actor: "marta", Title: "Import lab-win10-p1 and 1 more (Clonezilla)", Repository: "main", Image: "lab-win10-p1", State: upkeep.Done,
			Done: 31_000_000_000, Total: 31_000_000_000, Results: []string{
				"lab-win10-p1, revision 1 in repository main: PARTCLONE:ZSTD:NTFS:512000, 120 MB", "lab-win10-p2, revision 1 in repository main: PARTCLONE:ZSTD:NTFS:120000000, 21 GB"},
			Warnings: []string{"the swap partition 3 is not copied: it is made anew, with its UUID, when the whole disk is restored"},
			Started:  now.Add(-31 * time.Minute), Ended: now.Add(-12 * time.Minute)},
		{ID: "T1", Kind: upkeep.Verify, Actor: "administrator of this machine", Title: "Verify suse-broken", Repository: "main", Image: "suse-broken", State: upkeep.Failed,
			Problem: "image suse-broken is damaged: its bytes are not those that were published; restore it from another copy, or capture it again",
			Started: now.Add(-2 * time.Hour), Ended: now.Add(-2*time.Hour + 4*time.Minute)},
	}}
}

func (b *bed) check(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) stageAndPublish(name string, source imagestore.Source, blocks int) (imagestore.Image, error) {
	st, digest := b.stage(name, source, formattest.Partclone{Filesystem: "NTFS", Blocks: blocks})
	return st.Publish(b.t.Context(), digest, nil)
}

// set publishes two partitions of a disk with its layout.
func (b *bed) set(name string) {
	b.t.Helper()
	layout, err := json.Marshal(disk.Layout{
		Version: 1, Table: "dos", SectorSize: 512, DiskBytes: 120 * gigabyte, BootCode: make([]byte, 446),
		Dump: "label: dos\nlabel-id: 0x12345678\nunit: sectors\n\n/dev/sda1 : start=2048, size=1024000, type=7, bootable\n" +
			"/dev/sda2 : start=1026048, size=200000000, type=7\n/dev/sda3 : start=201026048, size=16000000, type=82\n",
	})
	b.check(err)
	for n, filesystem := range []string{"NTFS", "NTFS"} {
		st, digest := b.stage(fmt.Sprintf("%s-p%d", name, n+1), imagestore.Source{Set: name, System: "Clonezilla", Disk: 1, Partition: n + 1, SectorSize: 512},
			formattest.Partclone{Filesystem: filesystem, Blocks: 30 + 50*n})
		b.check(st.SetLayout(layout))
		_, err := st.Publish(b.t.Context(), digest, nil)
		b.check(err)
	}
}

// states makes an image in each state, those that pass for as long as the test lasts.
func (b *bed) states() {
	b.t.Helper()
	b.check(b.cat.PutImageObject(catalog.ImageObject{
		Name: "debian13-cad", DisplayName: "Debian 13 with CAD", Profile: "Debian 13, FreeCAD, KiCad", Partition: 4, PartitionType: "LINUX", Comments: "For the second term.",
	}))
	_, err := b.stageAndPublish("suse-broken", imagestore.Source{System: "OpenGnsys"}, 50)
	b.check(err)
	b.damage("suse-broken", 1)
	_, err = b.stageAndPublish("ubuntu-held", imagestore.Source{System: "FOG"}, 40)
	b.check(err)
	release, err := b.images.Hold("ubuntu-held", 1, "restore on pc-07")
	b.check(err)
	b.t.Cleanup(release)

	arriving, _ := b.stage("arch-arriving", imagestore.Source{Computer: "pc-02", Disk: 1, Partition: 4}, formattest.Partclone{Filesystem: "EXT4", Blocks: 100})
	b.t.Cleanup(func() { arriving.Abort() })
	b.processing("mint-processing")
}

// processing has an image stand half-way through its publication until the test ends.
func (b *bed) processing(name string) {
	b.t.Helper()
	st, digest := b.stage(name, imagestore.Source{System: "OpenGnsys"}, formattest.Partclone{Filesystem: "EXT4", Blocks: 3000})
	halfway, goOn, ended := make(chan struct{}), make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(ended)
		first := true
		_, _ = st.Publish(ctx, digest, func(done, total int64) {
			if first && done > 0 {
				first = false
				close(halfway)
				<-goOn
			}
		})
	}()
	b.t.Cleanup(func() {
		cancel()
		close(goOn)
		<-ended
		st.Abort()
	})
	select {
	case <-halfway:
	case <-ended:
		b.t.Fatal("the image was published before it told how far it is")
	}
}

// damage changes a byte of an image's file and has that found.
func (b *bed) damage(name string, revision int) {
	b.t.Helper()
	file, err := os.OpenFile(filepath.Join(b.images.Dir(), ".revisions", name, fmt.Sprint(revision), name+".img"), os.O_RDWR, 0)
	b.check(err)
	defer file.Close()
	_, err = file.WriteAt([]byte("no longer what it was"), 70_000)
	b.check(err)
	if err := b.images.Verify(b.t.Context(), name, revision, nil); err == nil {
		b.t.Fatalf("damage of %s was not found", name)
	}
}

// cutUpload is an upload of which a part has arrived.
func (b *bed) cutUpload() {
	b.t.Helper()
	u, err := b.server.cfg.Uploads.Begin([]incorporation.File{{Path: "2019-lab/disk", Size: 4}, {Path: "2019-lab/sda1.ntfs-ptcl-img.gz.aa", Size: 9000}}, "marta")
	b.check(err)
	b.names = append(b.names, u.ID, "ID-UPLOAD")
	for n, text := range []string{"sda\n", strings.Repeat("x", 4123)} {
		_, err := b.server.cfg.Uploads.Append(u.ID, n, 0, strings.NewReader(text))
		b.check(err)
	}
}

// libraryPages are the pages of a library, by the names of their golden files.
func libraryPages(pc catalog.Computer) map[string]string {
	return map[string]string{
		"library": "/images", "library-image": "/images/win11-office", "library-set": "/images/lab-win10-p2", "library-missing": "/images/debian13-cad",
		"library-damaged": "/images/suse-broken", "library-held": "/images/ubuntu-held", "library-arriving": "/images/arch-arriving",
		"register": "/register?image=win+11&partition=2&type=NTFS", "import": "/import", "trash": "/trash", "repositories": "/repositories",
		"tasks": "/operations", "task-running": "/tasks/T4", "task-done": "/tasks/T2", "task-failed": "/tasks/T1",
		"restore-revision": "/restore?image=main/win11-office&revision=1&pc=" + pc.ID, "restore-set": "/restore?image=main/lab-win10/disk&pc=" + pc.ID,
		"restore-check-revision": "/restore/check?method=UNICAST-DIRECT&image=main/win11-office&revision=1&pc=" + pc.ID,
		"restore-check-set":      "/restore/check?method=UNICAST-DIRECT&image=main/lab-win10/disk&pc=" + pc.ID,
		"capture-more":           "/capture?pc=" + pc.ID,
	}
}

// sceneOfLibrary is a library, and the PC that its images were made on.
func (b *bed) sceneOfLibrary() catalog.Computer {
	b.t.Helper()
	pc := b.enrol(b.hall("Faculty", "Room-1"), 1)
	b.publish("win11-office", pc, true)
	b.clock.move(3 * time.Hour)
	b.publish("win11-office", pc, true)
	b.fillLibrary()
	return pc
}

func TestGoldenPagesOfALibrary(t *testing.T) {
	b := newBed(t)
	br := b.login(b.serve())
	golden(t, "trash-empty", mainOf(t, b.calm(br.get("/trash").body)))
	golden(t, "import-empty", mainOf(t, b.calm(br.get("/import").body)))
	for name, path := range libraryPages(b.sceneOfLibrary()) {
		t.Run(name, func(t *testing.T) { golden(t, name, mainOf(t, b.calm(br.get(path).want(200).body))) })
	}
	golden(t, "name-registered", br.get("/register/name?image=debian13-cad").body+"\n")
	golden(t, "name-describes", br.get("/register/name?image=suse-broken").body+"\n")
	golden(t, "name-becomes", br.get("/capture/name?image=debian13-cad").body+"\n")
	golden(t, "name-arrives", br.get("/capture/name?image=arch-arriving").body+"\n")
}

// TestAnImageOfAnotherRepositoryHasItsOwnPage: what its page does, it does to the image of that repository.
func TestAnImageOfAnotherRepositoryHasItsOwnPage(t *testing.T) {
	b := newBed(t)
	br := b.login(b.serve())
	b.check(b.upkeep.AddRepository(catalog.Repository{Name: "archive", Dir: filepath.Join(t.TempDir(), "archive"), TrashDays: 7}))
	_, err := b.stageAndPublish("win7", fromSystem("FOG"), 20)
	b.check(err)
	task, err := b.upkeep.Copy("admin", upkeep.ImageRef{Repository: "main", Name: "win7"}, "archive")
	b.check(err)
	task, err = b.upkeep.Wait(t.Context(), task.ID)
	if err != nil || task.State != upkeep.Done {
		t.Fatal(task, err)
	}
	br.get("/images").has(`href="/images/win7"`, `href="/images/win7?repository=archive"`, "in archive")
	br.get("/images/win7?repository=archive").has(`action="/images/win7/remove?repository=archive"`, `action="/images/win7/verify?repository=archive"`,
		"/restore?image=archive%2fwin7", "/api/v1/images/win7/file?repository=archive", "can be brought back until 11 Mar 2031")
	br.post("/images/win7?repository=archive", url.Values{"display": {"Windows 7"}, "partition": {"1"}}).want(http.StatusSeeOther)
	br.post("/images/win7?repository=archive", url.Values{"partition": {"first"}}).want(http.StatusUnprocessableEntity).has("a number such as 2")
	to := br.post("/images/win7/verify?repository=archive", nil).want(http.StatusSeeOther).Header.Get("Location")
	br.get(to).want(http.StatusOK).has("Verify", "archive")
	b.eventually("the end of the verification", func() bool {
		task, err := b.upkeep.Task(strings.TrimPrefix(to, "/tasks/"))
		return err == nil && task.State == upkeep.Done
	})
	br.post("/images/win7/remove?repository=archive", url.Values{"confirm": {"win8"}}).want(http.StatusUnprocessableEntity)
	br.post("/images/win7/remove?repository=archive", url.Values{"confirm": {"win7"}}).want(http.StatusSeeOther)
	br.get("/images/win7?repository=archive").want(http.StatusNotFound)
	br.get("/images/win7").want(http.StatusOK).has("Windows 7") // described once, for both
	br.get("/trash").has("win7", "archive", "11 Mar 2031")
}

// TestTrashPage brings an image back and deletes another for ever.
func TestTrashPage(t *testing.T) {
	b := newBed(t)
	br := b.login(b.serve())
	for _, name := range []string{"win7", "win8"} {
		_, err := b.stageAndPublish(name, fromSystem("FOG"), 20)
		b.check(err)
		b.check(b.images.Remove(name))
	}
	for _, trashed := range b.images.Trash() {
		what := map[string]string{"win7": "undelete", "win8": "discard"}[trashed.Name]
		br.post("/trash/"+trashed.ID+"/"+what, url.Values{"repository": {"main"}}).want(http.StatusSeeOther)
	}
	if left := b.images.Trash(); len(left) != 0 {
		t.Errorf("left in the trash: %+v", left)
	}
	br.get("/images").has("win7")
	if _, err := b.images.Image("win8"); err == nil {
		t.Error("win8 is back")
	}
	br.post("/trash/none/undelete", nil).want(http.StatusNotFound)
}

// TestRepositoriesPage adds, changes and removes a folder.
func TestRepositoriesPage(t *testing.T) {
	b := newBed(t)
	br := b.login(b.serve())
	form := url.Values{"name": {"archive"}, "dir": {filepath.Join(t.TempDir(), "archive")}, "keep": {"2"}, "trashDays": {"30"}, "reserve": {"1024"}}
	wrong := url.Values{"name": {"archive"}, "dir": {"archive"}, "keep": {"two"}, "trashDays": {"30"}, "reserve": {"1024"}}
	br.post("/repositories", wrong).want(http.StatusUnprocessableEntity).has("a whole number", `value="two"`)
	wrong.Set("keep", "2")
	br.post("/repositories", wrong).want(http.StatusUnprocessableEntity).has("no absolute path")
	br.post("/repositories", form).want(http.StatusSeeOther)
	form.Set("keep", "7")
	br.post("/repositories/archive", form).want(http.StatusSeeOther)
	if r, err := b.cat.Repository("archive"); err != nil || r.Keep != 7 || r.ReserveMiB != 1024 {
		t.Errorf("changed: got %+v, %v", r, err)
	}
	br.post("/repositories/main/remove", nil).want(http.StatusConflict).has("configuration file")
	br.post("/repositories/archive/remove", nil).want(http.StatusSeeOther)
	if all, err := b.cat.Repositories(); err != nil || len(all) != 0 {
		t.Errorf("removed: still %+v, %v", all, err)
	}
}

func TestLibraryInTheBrowser(t *testing.T) {
	b := newBed(t)
	c := openChrome(t, b.serve().URL)
	c.logIn(b)
	c.visit("empty-trash", "/trash")
	c.visit("empty-import", "/import")
	for name, path := range libraryPages(b.sceneOfLibrary()) {
		c.visit(name, path)
	}
	c.clean()
}

func fromSystem(system string) imagestore.Source { return imagestore.Source{System: system} }
