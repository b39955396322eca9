package webui

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/appliance/operation"
	"aula/appliance/upkeep"
	"aula/clientos/disk"
	"aula/imagestore"
	"aula/imagestore/format"
)

type capturePage struct {
	page
	PC      *catalog.Computer // nil until one is chosen
	Rooms   []pickRoom        // to choose from
	Disks   []captureDisk
	Request captureForm
	Says    nameSays
	Problem string

	Repositories []upkeep.RepositoryStatus
	Compressors  []choice
}

// More tells whether the choices that few need are shown open.
func (p capturePage) More() bool {
	return p.Request.Repository != "" || p.Request.Compressor != "" && p.Request.Compressor != format.Zstd
}

// Capturable says whether the PC has a partition to make an image of.
func (p capturePage) Capturable() bool {
	return slices.ContainsFunc(p.Disks, func(d captureDisk) bool {
		return slices.ContainsFunc(d.Partitions, func(p capturePart) bool { return p.WhyNot == "" })
	})
}

type captureDisk struct {
	drawnDisk
	Partitions []capturePart
	Whole      *captureWhole // nil when no partition has data
}

type capturePart struct {
	disk.Partition
	Value   string // "1/2"
	WhyNot  string // it cannot be captured
	Checked bool
}

// nameSays is the answer to an image name that somebody is typing.
type nameSays struct {
	Text string
	Bad  bool
}

// A pickRoom is a classroom with its PCs to choose from.
type pickRoom struct {
	Centre, Name string
	PCs          []pickPC
}

type pickPC struct {
	ID, Name string
	Online   bool
}

// pickRooms lists every accepted PC.
func (s *Server) pickRooms() ([]pickRoom, error) {
	branches, _, err := s.tree("")
	if err != nil {
		return nil, err
	}
	computers, err := s.cfg.Catalog.Computers()
	if err != nil {
		return nil, err
	}
	var rooms []pickRoom
	for _, b := range branches {
		for _, r := range b.Rooms {
			room := pickRoom{Centre: b.Name, Name: r.Name}
			for _, pc := range computers {
				if pc.ClassroomID == r.ID {
					_, online := s.cfg.Roster.Session(pc.ID)
					room.PCs = append(room.PCs, pickPC{pc.ID, pc.Name, online})
				}
			}
			if len(room.PCs) > 0 {
				rooms = append(rooms, room)
			}
		}
	}
	return rooms, nil
}

func (s *Server) showCapture(c echo.Context) error {
	pcs := c.QueryParams()["pc"]
	if len(pcs) > 1 {
		return s.capturePage(c, http.StatusOK, captureForm{}, "An image is made of one PC. Choose which.")
	}
	return s.capturePage(c, http.StatusOK, readCaptureForm(c.QueryParams()), "")
}

func (s *Server) capturePage(c echo.Context, status int, r captureForm, problem string) error {
	v := capturePage{page: s.page(c, "rooms", "Create image"), Request: r, Problem: problem, Compressors: compressors()[:3]}
	var err error
	if v.Repositories, err = s.usable(); err != nil {
		return err
	}
	if r.ComputerID == "" {
		if v.Rooms, err = s.pickRooms(); err != nil {
			return err
		}
		return s.render(c, status, "capture", v)
	}
	found, err := s.cfg.Catalog.Computer(r.ComputerID)
	if err != nil {
		return err
	}
	v.PC = &found
	for _, d := range found.Inventory.Disks {
		v.Disks = append(v.Disks, captureChoices(d, r.part()))
	}
	if r.Image != "" {
		if v.Says, err = s.sayCapture(r); err != nil {
			return err
		}
	}
	return s.render(c, status, "capture", v)
}

// usable are the repositories that can be written to now.
func (s *Server) usable() ([]upkeep.RepositoryStatus, error) {
	all, err := s.cfg.Upkeep.Repositories()
	return slices.DeleteFunc(all, func(r upkeep.RepositoryStatus) bool { return r.Problem != "" }), err
}

// captureChoices are a disk's partitions. The largest that can be captured is proposed.
func captureChoices(d disk.Disk, chosen string) captureDisk {
	out := captureDisk{drawnDisk: drawDisk(d)}
	for _, p := range d.Partitions {
		part := capturePart{Partition: p, Value: fmt.Sprintf("%d/%d", d.Number, p.Number)}
		switch {
		case p.Extended():
			part.WhyNot = "holds the logical partitions"
		case strings.Contains(p.Filesystem, "SWAP"):
			part.WhyNot = "swap is made anew, not copied"
		case p.Filesystem == "":
			part.WhyNot = "no filesystem was recognised"
		}
		part.Checked = part.WhyNot == "" && part.Value == chosen
		out.Partitions = append(out.Partitions, part)
	}
	out.Whole = wholeOf(d, chosen)
	return out
}

// checkImageName answers, while somebody types, whether a name will do and what it will mean.
func (s *Server) checkImageName(c echo.Context) error {
	says, err := s.sayCapture(readCaptureForm(c.QueryParams()))
	if err != nil {
		return err
	}
	text, err := s.pages.fragment("name-says", says)
	if err != nil {
		return err
	}
	return c.HTML(http.StatusOK, text)
}

func (s *Server) sayName(repository, name string) nameSays {
	if name == "" {
		return nameSays{}
	}
	if err := imagestore.CheckName(name); err != nil {
		return nameSays{sentence(err.Error()), true}
	}
	if repository == "" {
		repository = s.firstRepository()
	}
	img, err := s.image(repository, name)
	switch {
	case errors.Is(err, imagestore.ErrNotFound):
		return nameSays{"A new image.", false}
	case err != nil:
		return nameSays{}
	case img.HasFile():
		return nameSays{fmt.Sprintf("%s exists. This capture becomes its revision %d; revision %d stays as it is.", name, img.Revision+1, img.Revision), false}
	case img.Standing.State == imagestore.Missing:
		return nameSays{fmt.Sprintf("%s is registered and has no file yet. This capture becomes it.", name), false}
	}
	return nameSays{fmt.Sprintf("A file of that name is %s. Wait for its end, or choose another name.", img.Standing.State), true}
}

// captureOf reads the form.
func captureOf(v url.Values) operation.CaptureRequest {
	r := operation.CaptureRequest{
		ComputerID: v.Get("pc"), Image: strings.TrimSpace(v.Get("image")), Repository: v.Get("repository"), Compressor: v.Get("compressor"),
	}
	d, p, _ := strings.Cut(v.Get("part"), "/")
	r.Disk, _ = strconv.Atoi(d)
	r.Partition, _ = strconv.Atoi(p)
	return r
}

func (s *Server) startCapture(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	request := readCaptureForm(form)
	err = imagestore.CheckName(request.Image)
	if request.Disk < 1 || request.Partition < 1 && !request.Whole {
		err = invalid("choose the partition or the disk to capture")
	}
	var op operation.Operation
	if err == nil {
		ctx := c.Request().Context()
		if request.Whole {
			op, err = s.captureDisk(ctx, request.CaptureRequest)
		} else {
			op, err = s.cfg.Operations.Capture(ctx, callerOf(ctx).name(), request.CaptureRequest)
		}
	}
	if err == nil {
		return s.goTo(c, "/operations/"+op.ID)
	}
	if status := statusOf(err); status == http.StatusInternalServerError || status == http.StatusNotFound {
		return err
	}
	return s.capturePage(c, statusOf(err), request, textOf(err))
}
