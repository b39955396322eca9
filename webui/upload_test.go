package webui

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"aula/appliance/upkeep"
	"aula/imagestore/format/formattest"
	"aula/webui/api"
	"aula/webui/client"
)

// What follows is what a browser does. The client has no use for it: the command line names files of the same machine.

func (b *bed) beginUpload(c *client.Client, files ...api.NewUploadFile) (out api.Upload, err error) {
	b.t.Helper()
	body, err := json.Marshal(api.NewUpload{Files: files})
	b.check(err)
	return out, b.ask(c, "POST", "/uploads", bytes.NewReader(body), &out)
}

func (b *bed) sendPiece(c *client.Client, id string, file int, offset int64, r io.Reader) (int64, error) {
	b.t.Helper()
	var arrived api.Arrived
	err := b.ask(c, "PATCH", fmt.Sprintf("/uploads/%s/files/%d?offset=%d", id, file, offset), r, &arrived)
	return arrived.Have, err
}

func (b *bed) discardUpload(c *client.Client, id string) error {
	b.t.Helper()
	return b.ask(c, "DELETE", "/uploads/"+id, nil, nil)
}

// ask sends one request as a browser would. An answer that is no success is a *client.Error.
func (b *bed) ask(c *client.Client, method, path string, body io.Reader, out any) error {
	b.t.Helper()
	r, err := http.NewRequestWithContext(b.t.Context(), method, "http://aula/api/v1"+path, body)
	b.check(err)
	if method == "POST" {
		r.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.HTTP.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	b.check(err)
	if resp.StatusCode >= 300 {
		return &client.Error{Status: resp.StatusCode, Detail: string(data)}
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(data, out)
}

func isStatus(err error, want int) bool {
	var answered *client.Error
	return errors.As(err, &answered) && answered.Status == want
}

// brokenOff reads as far as the network carried it.
type brokenOff struct{ r io.Reader }

var errCut = errors.New("cable pulled")

func (b *brokenOff) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err == io.EOF {
		err = errCut
	}
	return n, err
}

// TestAnUploadGoesOnAfterACut sends a FOG-like set of volumes, loses the connection in the middle and goes on.
func TestAnUploadGoesOnAfterACut(t *testing.T) {
	b := newBed(t)
	c := b.socketClient()
	ctx := t.Context()
	image := formattest.Partclone{Filesystem: "NTFS", Blocks: 2000}.Encode()
	first, second := image[:5<<20], image[5<<20:]
	u, err := b.beginUpload(c, api.NewUploadFile{Path: "win7.img.000", Size: int64(len(first))}, api.NewUploadFile{Path: "win7.img.001", Size: int64(len(second))})
	b.check(err)
	if _, err := c.ExamineImport(ctx, api.Import{Upload: u.ID}); !errors.Is(err, client.ErrInvalid) || !strings.Contains(err.Error(), "not complete") {
		t.Errorf("examined before it is complete: got %v", err)
	}
	if _, err := b.sendPiece(c, u.ID, 0, 0, &brokenOff{bytes.NewReader(first[:3<<20])}); !errors.Is(err, errCut) {
		t.Fatalf("the connection was to break: got %v", err)
	}
	b.eventually("what arrived before the cut", func() bool {
		u, err = c.Upload(ctx, u.ID)
		return err == nil && u.Files[0].Have == 3<<20
	})
	if _, err := b.sendPiece(c, u.ID, 0, 1<<20, bytes.NewReader(first[1<<20:])); !errors.Is(err, client.ErrConflict) {
		t.Errorf("going on at another byte: got %v, want a conflict", err)
	}
	have, err := b.sendPiece(c, u.ID, 0, u.Files[0].Have, bytes.NewReader(first[u.Files[0].Have:]))
	if err != nil || have != int64(len(first)) {
		t.Fatalf("going on: got %d, %v; want %d", have, err, len(first))
	}
	if _, err := b.sendPiece(c, u.ID, 1, 0, bytes.NewReader(append(second[:len(second):len(second)], 1))); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("more than was announced: got %v, want it refused", err)
	}
	if u, err = c.Upload(ctx, u.ID); err != nil {
		t.Fatal(err)
	}
	_, err = b.sendPiece(c, u.ID, 1, u.Files[1].Have, bytes.NewReader(second[u.Files[1].Have:]))
	b.check(err)

	plan, err := c.ExamineImport(ctx, api.Import{Upload: u.ID})
	b.check(err)
	if len(plan.Images) != 1 || plan.Images[0].Name != "win7" {
		t.Errorf("recognised: got %+v, want win7", plan)
	}
	task, err := c.Import(ctx, api.Import{Upload: u.ID})
	b.check(err)
	if task, err = c.WaitTask(ctx, task.ID, nil); err != nil || task.State != upkeep.Done {
		t.Fatalf("taken in: got %+v, %v", task, err)
	}
	if img, err := c.Image(ctx, "win7"); err != nil || img.FileBytes != int64(len(image)) || img.State != "ready" {
		t.Errorf("taken in: got %+v, %v", img, err)
	}
	if all, err := c.Uploads(ctx); err != nil || len(all) != 0 {
		t.Errorf("what was taken in is still among the uploads: %+v, %v", all, err)
	}
}

func TestUploadsThatAreRefused(t *testing.T) {
	b := newBed(t)
	c := b.socketClient()
	for _, path := range []string{"../x", "/etc/passwd", "a/b/c", ".hidden", "a\nb", ""} {
		if _, err := b.beginUpload(c, api.NewUploadFile{Path: path, Size: 1}); !errors.Is(err, client.ErrInvalid) {
			t.Errorf("%q: got %v, want it refused", path, err)
		}
	}
	if _, err := b.beginUpload(c, api.NewUploadFile{Path: "huge", Size: 1 << 60}); !isStatus(err, http.StatusInsufficientStorage) {
		t.Errorf("more than there is room for: got %v, want it refused", err)
	}
	if _, err := b.sendPiece(c, "nothing", 0, 0, strings.NewReader("x")); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a piece of nothing: got %v, want not found", err)
	}
	u, err := b.beginUpload(c, api.NewUploadFile{Path: "x", Size: 1})
	b.check(err)
	if _, err := b.sendPiece(c, u.ID, 7, 0, strings.NewReader("x")); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("a piece of a file that is not there: got %v, want it refused", err)
	}
	b.check(b.discardUpload(c, u.ID))
	if _, err := c.Upload(t.Context(), u.ID); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("discarded: got %v, want not found", err)
	}
}

// A flakyNetwork holds the pieces of an upload back until the test lets them pass, and may cut one in the middle.
type flakyNetwork struct {
	to    http.Handler
	piece atomic.Int32
	pass  map[int32]chan bool // by number, from 1; true cuts it
}

func (f *flakyNetwork) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPatch {
		f.to.ServeHTTP(w, r)
		return
	}
	gate := f.pass[f.piece.Add(1)]
	if gate != nil {
		select {
		case cut := <-gate:
			if cut {
				r.Body = io.NopCloser(io.LimitReader(r.Body, 3<<20))
				f.to.ServeHTTP(discardWriter{http.Header{}}, r)
				panic(http.ErrAbortHandler)
			}
		case <-r.Context().Done(): // the browser gave it up
			panic(http.ErrAbortHandler)
		}
	}
	f.to.ServeHTTP(w, r)
}

// A discardWriter is an answer that does not arrive.
type discardWriter struct{ header http.Header }

func (d discardWriter) Header() http.Header         { return d.header }
func (d discardWriter) Write(p []byte) (int, error) { return len(p), nil }
func (d discardWriter) WriteHeader(int)             {}

// TestAnUploadInTheBrowser sends an image through a cut, a pause and a reload of the page, and takes it in.
func TestAnUploadInTheBrowser(t *testing.T) {
	b := newBed(t)
	net := &flakyNetwork{to: b.server.Console(), pass: map[int32]chan bool{2: make(chan bool), 4: make(chan bool), 6: make(chan bool)}}
	c := openChrome(t, b.serveThrough(net).URL)
	c.logIn(b)
	image := formattest.Partclone{Filesystem: "NTFS", Blocks: 11000}.Encode() // 45 MB, 6 pieces
	file := filepath.Join(t.TempDir(), "win7 lab.img")
	b.check(os.WriteFile(file, image, 0o600))

	c.open("/import")
	choose := func() {
		t.Helper()
		c.run("choose the file", chromedp.SetUploadFiles(chromedp.CSS("#choose-files"), []string{file}))
	}
	choose()
	c.until("progress", `parseInt(document.getElementById("sending-percent").textContent) >= 18`)
	c.sees("#sending-what", "win7 lab.img")
	net.pass[2] <- true
	c.sees("#sending-state", "The connection is lost.")
	c.until("it goes on behind the cut", `parseInt(document.getElementById("sending-percent").textContent) >= 40`)
	b.eventually("the fourth piece", func() bool { return net.piece.Load() == 4 })
	c.shoot("sending", 1440, false)
	c.click("#sending-pause")
	c.sees("#sending-state", "Paused.")
	c.sees("#sending-pause", "Resume")
	c.click("#sending-pause")
	b.eventually("the sixth piece", func() bool { return net.piece.Load() == 6 })
	c.click("#sending-pause")
	c.sees("#sending-state", "Paused.")

	c.open("/import") // the page is loaded again
	c.sees(".uploads", "To go on, choose the same files again.")
	choose()
	c.at("/import/")
	c.sees("h1", "This is what arrived")
	c.sees("main", "NTFS")
	c.shoot("plan", 1440, false)
	c.fits("what arrived")
	c.named("what arrived")
	c.fill("input[name=name]", "win7-lab")
	c.click("form button.primary")
	c.at("/tasks/")
	c.sees(".op-head", "Done")
	c.sees(".results", "win7-lab")
	c.open("/images")
	c.sees(".images", "win7-lab")
	c.sees(".images", "Ready")
	img, err := b.images.Image("win7-lab")
	b.check(err)
	if img.FileBytes != int64(len(image)) {
		t.Errorf("the image has %d bytes, want %d", img.FileBytes, len(image))
	}
	if got := b.log.String(); strings.Contains(got, "level=ERROR") {
		t.Errorf("the log holds errors:\n%s", got)
	}
	c.cleanBut("net::ERR")
}

// cleanBut is clean, apart from complaints about what the test did on purpose.
func (c *chrome) cleanBut(expected string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.problems {
		if !strings.Contains(p, expected) {
			c.t.Errorf("the browser complained: %s", p)
		}
	}
}

// TestAFolderIsSentAsOneUpload drops nothing, but chooses a folder, as FOG and Clonezilla make them.
func TestAFolderIsSentAsOneUpload(t *testing.T) {
	b := newBed(t)
	c := openChrome(t, b.serve().URL)
	c.logIn(b)
	folder := filepath.Join(t.TempDir(), "lab7")
	b.check(os.Mkdir(folder, 0o755))
	for name, content := range map[string][]byte{
		"notes.txt": []byte("not an image"), ".DS_Store": []byte("left by a file manager"),
		"sda1.img": formattest.Partclone{Filesystem: "NTFS", Blocks: 64}.Encode(), "sda2.img": formattest.Partclone{Filesystem: "EXT4", Blocks: 64}.Encode(),
	} {
		b.check(os.WriteFile(filepath.Join(folder, name), content, 0o600))
	}
	c.open("/import")
	c.run("choose the folder", chromedp.SetUploadFiles(chromedp.CSS("#choose-folder"), []string{folder}))
	c.at("/import/")
	c.sees("main", "sda1")
	c.sees("main", "sda2")
	all, err := b.server.cfg.Uploads.All()
	b.check(err)
	if len(all) != 1 || len(all[0].Files) != 3 {
		t.Errorf("uploads: got %+v, want one of three files", all)
	}
	c.shoot("plan-folder", 1440, false)
	c.click("form[action$='/discard'] button")
	c.at("/import")
	c.sees(".did", "Upload discarded.")
	c.clean()
}

// TestNothingRecognised says so, and what to do.
func TestNothingRecognised(t *testing.T) {
	b := newBed(t)
	c := b.socketClient()
	u, err := b.beginUpload(c, api.NewUploadFile{Path: "holiday.jpg", Size: 4})
	b.check(err)
	_, err = b.sendPiece(c, u.ID, 0, 0, strings.NewReader("\xff\xd8\xff\xe0"))
	b.check(err)
	br := b.login(b.serve())
	page := br.get("/import/"+u.ID).want(http.StatusOK).has("Not recognised", "holiday.jpg", "Nothing was taken in", fmt.Sprintf(`action="/import/%s/discard"`, u.ID))
	refused := br.post("/import/"+u.ID, nil).want(http.StatusConflict).has("Not recognised")
	if strings.Contains(page.body+refused.body, b.images.Dir()) {
		t.Error("a page tells where uploads lie on the appliance")
	}
}
