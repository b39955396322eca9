package webui

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/clientos/disk"
	"aula/clientos/protocol"
)

type computerPage struct {
	page
	tile
	PC       catalog.Computer
	Room     leaf
	Rooms    []branch
	Disks    []drawnDisk
	Agent    string
	Online   bool
	Work     []head
	Cache    cacheView
	Boot     computerBoot
	Problem  string
	NewName  string
	Accepted bool
}

// A drawnDisk is a disk with its partitions as a bar: each piece's place in thousandths of the disk.
type drawnDisk struct {
	disk.Disk
	Pieces []piece
}

type piece struct {
	X, Width int
	Kind     string // class: data, system, swap, free
	Title    string
}

func (s *Server) showComputer(c echo.Context) error { return s.computerPage(c, http.StatusOK, "") }

func (s *Server) computerPage(c echo.Context, status int, problem string) error {
	v := computerPage{page: s.page(c, "rooms", ""), Problem: problem}
	var err error
	if v.PC, err = s.cfg.Catalog.Computer(c.Param("id")); err != nil {
		return err
	}
	v.Accepted = v.PC.State == catalog.Accepted
	v.Title, v.NewName = v.PC.Name, v.PC.Name
	if !v.Accepted {
		v.Active, v.Title = "pending", machine(v.PC.Inventory)
	}
	v.Topics = []string{computerTopic(v.PC.ID)}
	v.Path = "/computers/" + v.PC.ID
	if v.Rooms, _, err = s.tree(v.PC.ClassroomID); err != nil {
		return err
	}
	for _, b := range v.Rooms {
		for _, r := range b.Rooms {
			if r.Here {
				v.Room = r
			}
		}
	}
	v.tile = tileOf(v.PC, conditionOf(s.standings().of(v.PC), s.now()), nil)
	if session, ok := s.cfg.Roster.Session(v.PC.ID); ok {
		v.Online, v.Agent = true, session.Version
	}
	for _, d := range v.PC.Inventory.Disks {
		v.Disks = append(v.Disks, drawDisk(d))
	}
	v.Work, v.Cache = s.workOf(v.PC.ID), s.viewCache(v.PC)
	if v.Boot, err = s.computerBoot(v.PC); err != nil {
		return err
	}
	if typed := c.FormValue("address"); problem != "" && typed != "" {
		v.Boot.Address = typed
	}
	return s.render(c, status, "computer", v)
}

// workOf is the PC's last operations, the newest first.
func (s *Server) workOf(id string) []head {
	var list []head
	for _, op := range s.cfg.Operations.Operations(recentOperations) {
		for _, t := range op.Targets {
			if t.ComputerID != id || len(list) == shownOperations {
				continue
			}
			own := op
			own.Targets = own.Targets[:0:0]
			own.Targets = append(own.Targets, t)
			h := operationHead(own, s.now())
			h.mark = markOfTarget(op.Kind, t)
			list = append(list, h)
		}
	}
	return list
}

// drawDisk lays the partitions on a line of 1000, in their order. None is too thin to be seen or hides another, and none
// leaves the line, whatever the table claims.
func drawDisk(d disk.Disk) drawnDisk {
	const line, thin = 1000, 8
	out := drawnDisk{Disk: d}
	if d.Bytes <= 0 {
		return out
	}
	at := func(offset int64) int {
		return int(min(1, max(0, float64(offset)/float64(d.Bytes))) * line)
	}
	parts := slices.DeleteFunc(slices.Clone(d.Partitions), disk.Partition.Extended)
	slices.SortFunc(parts, func(a, b disk.Partition) int { return cmp.Compare(a.Start, b.Start) })
	next := 0
	for _, p := range parts {
		x := min(max(at(p.Start), next), line-thin)
		next = min(max(at(p.Start+p.Bytes), x+thin), line)
		out.Pieces = append(out.Pieces, piece{X: x, Width: next - x, Kind: pieceKind(p), Title: partitionTitle(p)})
	}
	return out
}

func pieceKind(p disk.Partition) string {
	switch p.Filesystem {
	case "LINUX-SWAP", "SWAP":
		return "swap"
	case "FAT12", "FAT16", "FAT32", "EFI":
		return "system"
	case "":
		return "unknown"
	}
	return "data"
}

func (s *Server) editComputer(c echo.Context) error {
	room, name := c.FormValue("room"), c.FormValue("name")
	if _, err := s.place(c.Request().Context(), c.Param("id"), room, name); err != nil {
		if statusOf(err) == http.StatusInternalServerError || statusOf(err) == http.StatusNotFound {
			return err
		}
		return s.computerPage(c, statusOf(err), textOf(err))
	}
	return s.goTo(c, "/computers/"+c.Param("id")+"?did=saved")
}

func (s *Server) removeComputer(c echo.Context) error {
	pc, err := s.cfg.Catalog.Computer(c.Param("id"))
	if err != nil {
		return err
	}
	if err := s.forget(c.Request().Context(), pc.ID); err != nil {
		if statusOf(err) == http.StatusInternalServerError {
			return err
		}
		return s.computerPage(c, statusOf(err), textOf(err))
	}
	if pc.State == catalog.Accepted {
		return s.goTo(c, "/classrooms/"+pc.ClassroomID+"?did=removed")
	}
	return s.goTo(c, "/pending?did=removed")
}

// speed writes a link's speed.
func speed(n protocol.NIC) string {
	switch {
	case !n.Link:
		return "no link"
	case n.Mbit >= 1000 && n.Mbit%1000 == 0:
		return count(n.Mbit/1000, "Gb/s", "Gb/s")
	case n.Mbit > 0:
		return count(n.Mbit, "Mb/s", "Mb/s")
	}
	return "linked"
}
