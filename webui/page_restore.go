package webui

import (
	"cmp"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/clientos/instruction"
	"aula/clientos/protocol"
	"aula/imagestore"
)

type restorePage struct {
	page
	restoreForm
	Chosen    []catalog.Computer
	Rooms     []pickRoom // to choose from when no PC is chosen
	Images    []imageGroup
	Revisions []listedRevision // of the chosen image
	Whole     bool             // what is chosen is a whole disk
	Targets   []targetGroup
	Methods   []choice
	Method    string // one of them
	Hints     []hint // what the choice of PCs, image and place means
	Place     string // where the image comes from
	Home      string // where Back leads
	Problem   string
}

// An imageGroup are the images to choose from in one repository.
type imageGroup struct {
	Repository string
	Choices    []choice
}

// A targetGroup is a disk number and what the chosen PCs have there.
type targetGroup struct {
	Label   string
	Choices []targetChoice
}

type targetChoice struct{ Value, Label string }

// Disk is the number of its disk.
func (t targetChoice) Disk() string {
	d, _, _ := strings.Cut(t.Value, "/")
	return d
}

// A restoreForm is what the restore pages hand on to each other.
type restoreForm struct {
	PCs      []string
	Image    string // NAME, REPOSITORY/NAME, or REPOSITORY/SET/disk for all images of a set
	Revision string // empty for the current one
	Target   string // "disk/partition"; a partition of 0 is the one of the image
	Layout   bool
}

func readRestoreForm(v url.Values) restoreForm {
	return restoreForm{PCs: v["pc"], Image: v.Get("image"), Revision: v.Get("revision"), Target: v.Get("target"), Layout: v.Get("layout") != ""}
}

// wholeValue is what the form calls all images of one disk of a set; disk is 0 when the set has one.
func wholeValue(repository, set string, disk int) string {
	if disk == 0 {
		return repository + "/" + set + "/disk"
	}
	return fmt.Sprintf("%s/%s/disk%d", repository, set, disk)
}

// A restoreSource is what the form's Image names.
type restoreSource struct {
	Repository, Name string
	Set              bool
	SetDisk          int // of a set of several disks
}

// source takes Image apart.
func (f restoreForm) source() restoreSource {
	parts := strings.Split(f.Image, "/")
	var s restoreSource
	if disk, ok := strings.CutPrefix(parts[len(parts)-1], "disk"); ok && len(parts) == 3 {
		s.Set = true
		s.SetDisk, _ = strconv.Atoi(disk)
		parts = parts[:2]
	}
	if len(parts) == 2 {
		s.Repository = parts[0]
	}
	s.Name = parts[len(parts)-1]
	return s
}

// Query writes the form as the query of a link; its values are escaped.
func (f restoreForm) Query() template.URL {
	v := url.Values{"pc": f.PCs, "image": {f.Image}, "target": {f.Target}}
	if f.Revision != "" {
		v.Set("revision", f.Revision)
	}
	if f.Layout {
		v.Set("layout", "1")
	}
	return template.URL(v.Encode())
}

func (s *Server) showRestore(c echo.Context) error {
	return s.restorePage(c, http.StatusOK, readRestoreForm(c.QueryParams()), "")
}

func (s *Server) restorePage(c echo.Context, status int, f restoreForm, problem string) error {
	v := restorePage{page: s.page(c, "rooms", "Restore image"), restoreForm: f, Problem: problem}
	if err := s.fillRestore(&v); err != nil {
		return err
	}
	v.Targets = clonable(v.Targets, v.Chosen)
	v.Methods, v.Method = restoreMethods(), cmp.Or(c.QueryParam("method"), restoreMethods()[0].Value)
	v.Hints = s.hints(f.by(v.Method), v.Chosen)
	return s.render(c, status, "restore", v)
}

// restoreMethods are where the restore command takes images from and by what, with OpenGnsys' names. More can be said in the deploy wizard.
func restoreMethods() []choice {
	return []choice{
		{protocol.Unicast + directly, "REPO by UNICAST-DIRECT: straight to the disk"},
		{protocol.Multicast + directly, "REPO by MULTICAST-DIRECT: straight to the disk, once for all PCs"},
		{protocol.Unicast, "REPO by UNICAST: through the cache"},
		{protocol.Multicast, "REPO by MULTICAST: through the cache, once for all PCs"},
		{protocol.Torrent, "REPO by TORRENT: through the cache, the PCs give it to each other"},
		{protocol.Cache, "CACHE: what the PC has already"},
	}
}

const directly = "-DIRECT"

// by is the form with a method of restoreMethods; what else there is to say is not said.
func (f restoreForm) by(method string) deployForm {
	d := deployForm{restoreForm: f, Mode: instruction.RestoreImage, From: protocol.Repo, Adapt: true}
	if method == protocol.Cache {
		d.From = protocol.Cache
		return d
	}
	d.Protocol, d.Direct = strings.CutSuffix(method, directly)
	return d
}

// checkRestore shows the form as an instruction with its pre-flight.
func (s *Server) checkRestore(c echo.Context) error {
	f, method := readRestoreForm(c.QueryParams()), c.QueryParam("method")
	text, err := s.composeRestore(f, method)
	switch {
	case err == nil:
		return s.showProgram(c, programForm{PCs: f.PCs, Text: text, From: "/restore?" + string(f.Query()) + "&method=" + url.QueryEscape(method)})
	case statusOf(err) == http.StatusInternalServerError:
		return err
	}
	return s.restorePage(c, statusOf(err), f, textOf(err))
}

// composeRestore writes the form as an instruction. Parameters are those of the PCs' classroom.
func (s *Server) composeRestore(f restoreForm, method string) (string, error) {
	if len(f.PCs) == 0 {
		return "", invalid("choose at least one PC")
	}
	chosen, err := s.computersOf(f.PCs)
	if err != nil {
		return "", err
	}
	d := f.by(method)
	var usual deployForm
	usual.prefill(s.defaultsOf(chosen), chosen)
	d.Port, d.Duplex, d.Address, d.Speed, d.Computers, d.Wait = usual.Port, usual.Duplex, usual.Address, usual.Speed, usual.Computers, usual.Wait
	d.Peer, d.Seconds, d.Fallback = usual.Peer, usual.Seconds, usual.Fallback
	return s.compose(d)
}

// fillRestore fills in what there is to choose from.
func (s *Server) fillRestore(v *restorePage) error {
	images, err := s.images("")
	if err != nil {
		return err
	}
	v.Images = s.imageChoices(images)
	if err := s.fillChosen(v); err != nil {
		return err
	}
	if v.Chosen, err = s.computersOf(v.PCs); err != nil {
		return err
	}
	if v.Home = homeOf(v.Chosen); len(v.Chosen) == 0 {
		if v.Rooms, err = s.pickRooms(); err != nil {
			return err
		}
	}
	v.Targets = targetChoices(v.Chosen)
	return nil
}

// imageChoices are what can be restored, by repository.
func (s *Server) imageChoices(images []describedImage) []imageGroup {
	var groups []imageGroup
	into := func(repository string) *imageGroup {
		for i := range groups {
			if groups[i].Repository == repository {
				return &groups[i]
			}
		}
		groups = append(groups, imageGroup{Repository: repository})
		return &groups[len(groups)-1]
	}
	for _, set := range s.group(images) {
		g := into(set.Repository)
		if set.Name != "" {
			g.Choices = append(g.Choices, set.wholes()...)
		}
		for _, v := range set.Images {
			if v.Restorable() {
				g.Choices = append(g.Choices, choice{v.Value(), v.label()})
			}
		}
	}
	return slices.DeleteFunc(groups, func(g imageGroup) bool { return len(g.Choices) == 0 })
}

// wholes are the disks of a set that can be restored whole.
func (s imageSet) wholes() []choice {
	var choices []choice
	for _, d := range s.Disks() {
		if !d.Ready {
			continue
		}
		label := fmt.Sprintf("%s · whole disk: all %s, %s used", s.Name, count(d.Images, "partition", "partitions"), size(d.Used))
		if d.Number > 0 {
			label = fmt.Sprintf("%s · whole disk %d: all %s, %s used", s.Name, d.Number, count(d.Images, "partition", "partitions"), size(d.Used))
		}
		choices = append(choices, choice{d.Value, label})
	}
	return choices
}

// label is an image in a list to choose from.
func (v imageView) label() string {
	content := v.Info.Filesystem
	if v.WholeDisk() {
		content = "whole disk"
	}
	text := fmt.Sprintf("%s · %s, %s used, revision %d", v.Display, content, size(v.Info.UsedBytes), v.Revision)
	if v.HasLayout {
		text += ", with layout"
	}
	return text
}

// fillChosen looks at the image that is chosen already. One that is not there (any more) is not chosen.
func (s *Server) fillChosen(v *restorePage) error {
	source := v.source()
	if source.Name == "" {
		return nil
	}
	if source.Set {
		v.Whole = true
		return nil
	}
	revisions, err := s.revisions(source.Repository, source.Name)
	if errors.Is(err, imagestore.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	img := revisions[0].Image
	v.Revisions, v.Image, v.Whole = revisions, revisions[0].Repository+"/"+source.Name, isDiskImage(img)
	if described, err := s.image(source.Repository, source.Name); err == nil && !v.Whole && img.Source.Disk > 0 && described.Installed() > 0 {
		v.Place = fmt.Sprintf("Disk %d, partition %d", img.Source.Disk, described.Installed())
	}
	return nil
}

// targetChoices are the disks and partitions of the chosen PCs, with how many of them have each. Numbers below 1, which no PC has
// but an old record may, are left out: every partition then follows the entry of its disk, which stands as partition 0.
func targetChoices(pcs []catalog.Computer) []targetGroup {
	type place struct{ disk, part int }
	have := map[place]int{}
	names := map[place]string{}
	note := func(p place, name string) {
		have[p]++
		if known, ok := names[p]; ok && known != name {
			name = "different kinds"
		}
		names[p] = name
	}
	for _, pc := range pcs {
		for _, d := range pc.Inventory.Disks {
			if d.Number < 1 {
				continue
			}
			note(place{d.Number, 0}, diskTitle(d))
			for _, p := range d.Partitions {
				if p.Number >= 1 && !p.Extended() {
					note(place{d.Number, p.Number}, partitionTitle(p)+", "+size(p.Bytes))
				}
			}
		}
	}
	places := make([]place, 0, len(have))
	for p := range have {
		places = append(places, p)
	}
	slices.SortFunc(places, func(a, b place) int {
		return cmp.Or(cmp.Compare(a.disk, b.disk), cmp.Compare(a.part, b.part))
	})
	var groups []targetGroup
	for _, p := range places {
		on := ""
		if len(pcs) > 1 {
			on = fmt.Sprintf(" (%d of %d PCs)", have[p], len(pcs))
		}
		value := fmt.Sprintf("%d/%d", p.disk, p.part)
		if p.part == 0 {
			groups = append(groups, targetGroup{Label: fmt.Sprintf("Disk %d: %s%s", p.disk, names[p], on)})
		}
		g := &groups[len(groups)-1]
		label := fmt.Sprintf("Disk %d, partition %d: %s%s", p.disk, p.part, names[p], on)
		if p.part == 0 {
			label = fmt.Sprintf("Disk %d, the partition that the image comes from", p.disk)
		}
		g.Choices = append(g.Choices, targetChoice{value, label})
	}
	return groups
}
