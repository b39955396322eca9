package webui

import (
	"cmp"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/appliance/upkeep"
	"aula/clientos/disk"
	"aula/imagestore"
	"aula/imagestore/format"
)

type imagePage struct {
	page
	Image        imageView
	Set          imageSet // what it belongs to, if Name is not empty
	Line         string   // OpenGnsys'
	KiB          int64
	Verified     time.Time
	Torrent      bool
	Revisions    []listedRevision
	Drawing      *drawnDisk // of the layout beside it
	Types        []string
	Repositories []upkeep.RepositoryStatus
	Others       []upkeep.RepositoryStatus // where it can be copied to
	Compressors  []choice
	Until        string // until when it could be brought back; empty when it could not
	Work         []head
	Tasks        []taskView
	Problem      string
}

// A choice is an entry of a list to choose from.
type choice struct{ Value, Label string }

// compressors are what images can be packed by, ours first.
func compressors() []choice {
	return []choice{
		{format.Zstd, "ZSTD – our own form: smallest and fastest"},
		{format.Lzop, "LZOP – as OpenGnsys makes them"},
		{format.Gzip, "GZIP – for every system"},
		{format.None, "NONE – not packed"},
	}
}

func partitionTypes() []string { return catalog.PartitionTypes() }

// Action is the address of a form about the image.
func (v imageView) Action(what string) string {
	path, query, found := strings.Cut(v.Path, "?")
	if what != "" {
		path += "/" + what
	}
	if found {
		path += "?" + query
	}
	return path
}

// File is the address of its bytes or of what lies beside them.
func (v imageView) File(what string) string {
	return "/api/v1/images/" + url.PathEscape(v.ID) + "/" + what + "?repository=" + url.QueryEscape(v.Repository)
}

// did is its page with a confirmation of what was done.
func (v imageView) did(word string) string {
	return v.Path + map[bool]string{true: "&", false: "?"}[strings.Contains(v.Path, "?")] + "did=" + word
}

func (s *Server) showImage(c echo.Context) error { return s.imagePage(c, http.StatusOK, "") }

func (s *Server) imagePage(c echo.Context, status int, problem string) error {
	v := imagePage{page: s.page(c, "images", ""), Problem: problem, Types: partitionTypes(), Compressors: compressors()}
	img, err := s.image(c.QueryParam("repository"), c.Param("name"))
	if err != nil {
		return err
	}
	v.Image = s.viewImage(img)
	v.Title, v.Path, v.Topics = v.Image.Display, v.Image.Path, []string{allImages, allTasks}
	if err := s.describeRepositories(&v); err != nil {
		return err
	}
	if img.HasFile() {
		if err := s.describeFile(&v); err != nil {
			return err
		}
	}
	for _, op := range s.cfg.Operations.Operations(recentOperations) {
		if op.Image == v.Image.ID && len(v.Work) < shownOperations {
			v.Work = append(v.Work, operationHead(op, s.now()))
		}
	}
	for _, t := range s.cfg.Upkeep.Tasks() {
		if t.Image == v.Image.ID && len(v.Tasks) < shownOperations {
			v.Tasks = append(v.Tasks, viewTask(t, s.now()))
		}
	}
	return s.render(c, status, "image", v)
}

// describeRepositories fills in what depends on the repositories.
func (s *Server) describeRepositories(v *imagePage) (err error) {
	if v.Repositories, err = s.cfg.Upkeep.Repositories(); err != nil {
		return err
	}
	for _, r := range v.Repositories {
		switch {
		case r.Name != v.Image.Repository && r.Problem == "":
			v.Others = append(v.Others, r)
		case r.Name == v.Image.Repository && r.TrashDays > 0:
			v.Until = day(s.now().AddDate(0, 0, r.TrashDays))
		}
	}
	return nil
}

// describeFile fills in what is known of the image's file.
func (s *Server) describeFile(v *imagePage) (err error) {
	img := v.Image.Image
	v.Line, v.KiB, v.Verified = img.Info.String(), (img.Info.RequiredBytes+1023)/1024, s.verifiedAt(img)
	if v.Revisions, err = s.revisions(img.Repository, img.Name); err != nil {
		return err
	}
	_, err = s.torrent(img.Repository, img.Name)
	v.Torrent = err == nil
	members := []imagestore.Image{img}
	if img.Source.Set != "" {
		set, err := s.cfg.Images.Set(img.Repository, img.Source.Set)
		switch {
		case err == nil:
			members = set
		case !errors.Is(err, imagestore.ErrIncomplete): // what there is can be restored on its own
			return err
		}
		v.Set = imageSet{Name: img.Source.Set, Repository: img.Repository}
		for _, m := range members {
			d, err := s.image(img.Repository, m.Name)
			if err != nil {
				return err
			}
			v.Set.Images = append(v.Set.Images, s.viewImage(d))
		}
	}
	v.Drawing = s.drawLayout(img, members)
	return nil
}

// drawLayout draws the disk that an image comes from, or nothing when no layout of it was kept. members are the images of that disk,
// which tell the filesystems of their partitions.
func (s *Server) drawLayout(img imagestore.Image, members []imagestore.Image) *drawnDisk {
	if !img.HasLayout {
		return nil
	}
	data, err := s.cfg.Images.Layout(img.Repository, img.Name, img.Revision)
	if err != nil {
		return nil
	}
	layout, err := disk.ParseLayout(data)
	if err != nil {
		return nil
	}
	parts, err := layout.Partitions()
	if err != nil {
		return nil
	}
	for i := range parts {
		if parts[i].Filesystem == "" {
			parts[i].Filesystem = typeWord(parts[i])
		}
		for _, m := range members {
			if m.Source.Partition == parts[i].Number {
				parts[i].Filesystem = m.Info.Filesystem
			}
		}
	}
	drawn := drawDisk(disk.Disk{Number: max(1, img.Source.Disk), Bytes: layout.DiskBytes, SectorSize: layout.SectorSize, Table: layout.Table, Partitions: parts})
	return &drawn
}

// typeWord is what a partition without an image is for, as far as its type says.
func typeWord(p disk.Partition) string {
	switch {
	case p.Swap():
		return "LINUX-SWAP"
	case p.ESP():
		return "EFI"
	}
	return ""
}

// isDiskImage tells whether an image is that of a whole disk.
func isDiskImage(img imagestore.Image) bool { return img.Info.Filesystem == format.Disk }

// byPlace orders images by disk and partition.
func byPlace(a, b imagestore.Source) int {
	return cmp.Or(cmp.Compare(a.Disk, b.Disk), cmp.Compare(a.Partition, b.Partition))
}

func (s *Server) editImage(c echo.Context) error {
	if _, err := c.FormParams(); err != nil {
		return err
	}
	// The body's fields alone: the query names the repository of the page, not the one that was chosen.
	text, err := readRegisterForm(c.Request().PostForm).text()
	if err == nil {
		err = s.describeImage(c.Request().Context(), c.QueryParam("repository"), c.Param("name"), text)
	}
	return s.afterImage(c, err, "saved")
}

// dropImage removes an image when its name was typed to confirm it.
func (s *Server) dropImage(c echo.Context) error {
	name := c.Param("name")
	err := error(invalid("type the image's name, %s, to remove it", name))
	if c.FormValue("confirm") == name {
		err = s.removeImage(c.Request().Context(), c.QueryParam("repository"), name)
	}
	if err == nil {
		return s.goTo(c, "/images?did=removed")
	}
	return s.afterImage(c, err, "")
}

func (s *Server) dropRevision(c echo.Context) error {
	n, _ := strconv.Atoi(c.Param("revision"))
	err := s.removeRevision(c.Request().Context(), c.QueryParam("repository"), c.Param("name"), n)
	return s.afterImage(c, err, "removed")
}

// afterImage leads back to the image's page, with what was done or what was wrong.
func (s *Server) afterImage(c echo.Context, err error, did string) error {
	if err == nil {
		img, err := s.image(c.QueryParam("repository"), c.Param("name"))
		if err != nil {
			return err
		}
		return s.goTo(c, s.viewImage(img).did(did))
	}
	if status := statusOf(err); status == http.StatusInternalServerError || status == http.StatusNotFound {
		return err
	}
	return s.imagePage(c, statusOf(err), textOf(err))
}

// The forms of an image's page that start long work lead to the task.

func (s *Server) verifyImage(c echo.Context) error {
	return s.startTask(c, func(who string, ref upkeep.ImageRef) (upkeep.Task, error) { return s.cfg.Upkeep.Verify(who, ref) })
}

func (s *Server) convertImage(c echo.Context) error {
	to := imagestore.Conversion{Compressor: c.FormValue("compressor"), Name: strings.TrimSpace(c.FormValue("newName"))}
	return s.startTask(c, func(who string, ref upkeep.ImageRef) (upkeep.Task, error) { return s.cfg.Upkeep.Convert(who, ref, to) })
}

func (s *Server) transferImage(c echo.Context) error {
	to := c.FormValue("to")
	return s.startTask(c, func(who string, ref upkeep.ImageRef) (upkeep.Task, error) {
		if c.FormValue("how") == "move" {
			return s.cfg.Upkeep.Move(who, ref, to)
		}
		return s.cfg.Upkeep.Copy(who, ref, to)
	})
}

func (s *Server) startTask(c echo.Context, start func(who string, ref upkeep.ImageRef) (upkeep.Task, error)) error {
	_, img, err := s.home(c.QueryParam("repository"), c.Param("name"))
	if err != nil {
		return err
	}
	t, err := start(callerOf(c.Request().Context()).name(), upkeep.ImageRef{Repository: img.Repository, Name: img.Name})
	if err != nil {
		return s.afterImage(c, err, "")
	}
	return s.goTo(c, "/tasks/"+url.PathEscape(t.ID))
}
