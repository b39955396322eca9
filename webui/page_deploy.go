package webui

import (
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/clientos/disk"
	"aula/clientos/instruction"
	"aula/clientos/protocol"
	"aula/imagestore/multicast"
	"aula/imagestore/torrent"
)

// The deploy wizard: what images come to which PCs, by what, and what is done before and afterwards, written as instructions.

// A deployForm is what the wizard asks, and the restore command with it: its fields by their names in the form.
type deployForm struct {
	restoreForm
	Mode     string // instruction.DeployImage or UpdateCache
	From     string // REPO or CACHE
	Protocol string
	Direct   bool
	Fallback string

	Port, Duplex, Address, Speed, Computers, Wait string // of MULTICAST
	Peer, Seconds                                 string // of TORRENT

	Grow  string // partition that takes what a larger disk has more
	Adapt bool   // the restored system is told of its PC
	Wake  bool
	After string // word of the last statement, or empty
	Late  string

	Open bool // its parameters are shown, not only their values
}

func readDeployForm(v url.Values) deployForm {
	return deployForm{
		restoreForm: readRestoreForm(v), Mode: v.Get("mode"), From: v.Get("source"), Protocol: v.Get("protocol"), Direct: v.Get("direct") != "",
		Fallback: v.Get("fallback"), Port: v.Get("port"), Duplex: v.Get("duplex"), Address: v.Get("address"), Speed: v.Get("speed"),
		Computers: v.Get("computers"), Wait: v.Get("wait"), Peer: v.Get("peer"), Seconds: v.Get("seconds"), Grow: v.Get("grow"),
		Adapt: v.Get("adapt") != "", Wake: v.Get("wake") != "", After: v.Get("after"), Late: v.Get("late"),
	}
}

// Query writes the form as the query of a link; its values are escaped.
func (f deployForm) Query() template.URL {
	v := url.Values{"pc": f.PCs}
	for name, value := range map[string]string{
		"image": f.Image, "target": f.Target, "revision": f.Revision, "mode": f.Mode, "source": f.From, "protocol": f.Protocol, "fallback": f.Fallback,
		"port": f.Port, "duplex": f.Duplex, "address": f.Address, "speed": f.Speed, "computers": f.Computers, "wait": f.Wait, "peer": f.Peer,
		"seconds": f.Seconds, "grow": f.Grow, "after": f.After, "late": f.Late,
	} {
		if value != "" {
			v.Set(name, value)
		}
	}
	for name, on := range map[string]bool{"layout": f.Layout, "direct": f.Direct, "adapt": f.Adapt, "wake": f.Wake} {
		if on {
			v.Set(name, "1")
		}
	}
	return template.URL(v.Encode())
}

// What the multicast sessions of a room begin with, when nobody said otherwise: OpenGnsys' own, without its limit of 90 Mbit/s.
const (
	usualPort    = 9000
	usualWait    = 60  // seconds
	usualSeconds = 60  // that a complete PC gives to others
	wakeSeconds  = 300 // for PCs that were woken
)

// prefill fills in what a form that nobody has seen yet begins with: the classroom's defaults.
func (f *deployForm) prefill(d catalog.Defaults, pcs []catalog.Computer) {
	f.Mode, f.From, f.Adapt = instruction.DeployImage, protocol.Repo, true
	f.Protocol, f.Direct = cmp.Or(d.Protocol, protocol.Multicast), d.Direct
	f.Fallback = cmp.Or(d.Fallback, protocol.Unicast)
	session, err := multicast.ParseSession(d.Multicast)
	if err != nil {
		session = multicast.Session{Port: usualPort, Mode: multicast.FullDuplex, Wait: usualWait * time.Second}
	}
	if !session.Group.IsValid() || session.Group.IsUnspecified() {
		session.Group = groupOf(pcs)
	}
	f.Port, f.Duplex, f.Speed = strconv.Itoa(session.Port), string(session.Mode), strconv.FormatInt(session.Rate/1_000_000, 10)
	f.Wait, f.Computers = strconv.FormatInt(int64(session.Wait/time.Second), 10), strconv.Itoa(max(len(pcs), session.Computers*boolInt(len(pcs) == 0)))
	if session.Group.IsValid() {
		f.Address = session.Group.String()
	}
	mode, linger, err := torrent.ParseMode(cmp.Or(d.Torrent, fmt.Sprintf("peer:%d", usualSeconds)))
	if err == nil {
		f.Peer, f.Seconds, _ = strings.Cut(torrent.FormatMode(mode, linger), ":")
	}
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// groupOf is the group of the network that the PCs are in, taken for one of 256 addresses, as the address of a classroom's group is made of no more.
func groupOf(pcs []catalog.Computer) netip.Addr {
	for _, pc := range pcs {
		if a, err := netip.ParseAddr(pc.Address); err == nil && a.Is4() {
			return multicast.GroupOf(netip.PrefixFrom(a, 24))
		}
	}
	return netip.Addr{}
}

// delivery makes of the form how images come.
func (f deployForm) delivery() (protocol.Delivery, error) {
	d := protocol.Delivery{From: cmp.Or(f.From, protocol.Repo), Protocol: f.Protocol, Direct: f.Direct, Fallback: f.Fallback}
	if d.From == protocol.Cache {
		return protocol.Delivery{From: protocol.Cache}, nil
	}
	var err error
	switch d.Protocol {
	case protocol.Multicast:
		address := cmp.Or(strings.TrimSpace(f.Address), "0.0.0.0")
		d.Parameters, err = multicastParameters(f.Port, f.Duplex, address, f.Speed, f.Computers, f.Wait)
	case protocol.Torrent:
		d.Parameters, err = torrentParameters(f.Peer, f.Seconds)
	case protocol.Unicast:
	default:
		return d, invalid("choose by what the image comes: %s, %s or %s", protocol.Unicast, protocol.Multicast, protocol.Torrent)
	}
	if d.Direct && d.Protocol != protocol.Torrent || d.Fallback == protocol.Unicast {
		d.Fallback = "" // it needs none, or the one that is meant anyway
	}
	return d, err
}

// multicastParameters composes OpenGnsys' string of its fields, and refuses what is none.
func multicastParameters(port, mode, address, speed, computers, wait string) (string, error) {
	speed = strings.TrimSuffix(strings.TrimSpace(cmp.Or(speed, "0")), "M")
	fields := []string{port, mode, address, speed + "M", cmp.Or(computers, "0"), cmp.Or(wait, "0")}
	for i := range fields {
		fields[i] = strings.TrimSpace(fields[i])
	}
	session, err := multicast.ParseSession(strings.Join(fields, ":"))
	if err != nil {
		return "", textError(err)
	}
	return session.String(), nil
}

func torrentParameters(mode, seconds string) (string, error) {
	m, linger, err := torrent.ParseMode(strings.TrimSpace(mode) + ":" + cmp.Or(strings.TrimSpace(seconds), "0"))
	if err != nil {
		return "", textError(err)
	}
	return torrent.FormatMode(m, linger), nil
}

// compose writes the form as instructions.
func (s *Server) compose(f deployForm) (string, error) {
	if f.Image == "" {
		return "", invalid("choose an image")
	}
	st, err := s.composeImage(f)
	if err != nil {
		return "", err
	}
	if st.Delivery, err = f.delivery(); err != nil {
		return "", err
	}
	statements := []instruction.Statement{st}
	if f.Wake {
		statements = slices.Insert(statements, 0, instruction.Statement{Word: instruction.WakeUp, Seconds: wakeSeconds})
	}
	switch f.After {
	case "":
	case instruction.Reboot, instruction.PowerOff:
		statements = append(statements, instruction.Statement{Word: f.After})
	case instruction.BootOS:
		statements = append(statements, instruction.Statement{Word: f.After, Disk: st.Disk, Partition: st.Partition})
	default:
		return "", invalid("afterwards there is %s, %s or %s, not %.40q", instruction.Reboot, instruction.BootOS, instruction.PowerOff, f.After)
	}
	return composed(statements...), nil
}

// composeImage is the statement about the image, without how it comes.
func (s *Server) composeImage(f deployForm) (instruction.Statement, error) {
	var st instruction.Statement
	f.restoreForm.PCs = []string{"-"} // restoreRequest wants some
	if f.Mode == instruction.UpdateCache {
		f.Layout, f.Target = false, "1/1" // places mean nothing to it
	}
	plan, err := s.restoreRequest(f.restoreForm)
	if err != nil {
		return st, err
	}
	r := plan.Request
	st = instruction.Statement{Image: r.Image, Revision: r.Revision}
	if repository := plan.Images[0].Repository; repository != s.firstRepository() {
		st.Repository = repository
	}
	switch f.Mode {
	case instruction.UpdateCache:
		if f.Direct {
			return st, invalid("updateCache brings images into the cache: untick “straight to the disk”")
		}
		st.Word = instruction.UpdateCache
		return st, nil
	case instruction.RestoreImage, instruction.DeployImage:
		st.Word = f.Mode
	default:
		return st, invalid("the working mode is %s or %s, not %.40q", instruction.DeployImage, instruction.UpdateCache, f.Mode)
	}
	st.Disk, st.Partition, st.Layout, st.Plain = r.Disk, r.Partition, r.Layout, !f.Adapt
	if !r.Whole {
		return st, nil
	}
	st.Word = map[string]string{
		instruction.RestoreImage: instruction.RestoreDiskImage, instruction.DeployImage: instruction.DeployDiskImage,
	}[st.Word]
	st.Partition, st.SetDisk = 0, r.SetDisk
	if r.Revision > 0 {
		return st, invalid("images of whole disks are deployed in their current revision; restore revision %d instead", r.Revision)
	}
	if f.Grow != "" {
		if st.Grow, err = strconv.Atoi(f.Grow); err != nil || st.Grow < 1 {
			return st, invalid("the partition that grows is a number from 1, and %.40q is none", f.Grow)
		}
	}
	return st, nil
}

type deployPage struct {
	restorePage
	Form     deployForm
	Defaults catalog.Defaults
	Lates    []choice
	NoCache  int // chosen PCs without a cache
}

func (s *Server) showDeploy(c echo.Context) error {
	query := c.QueryParams()
	f := readDeployForm(query)
	var err error
	if f.PCs, err = s.chosen(query); err != nil {
		return err
	}
	return s.deployPage(c, http.StatusOK, f, "")
}

func (s *Server) deployPage(c echo.Context, status int, f deployForm, problem string) error {
	v := deployPage{restorePage: restorePage{page: s.page(c, "rooms", "Deploy image"), restoreForm: f.restoreForm, Problem: problem}}
	v.Path = "/deploy"
	if err := s.fillRestore(&v.restorePage); err != nil {
		return err
	}
	v.Targets = clonable(v.Targets, v.Chosen)
	v.Defaults = s.defaultsOf(v.Chosen)
	if f.Mode == "" {
		f.prefill(v.Defaults, v.Chosen)
	}
	f.Open = problem != ""
	v.Form, v.Lates = f, programForm{Late: f.Late}.Lates()
	v.Hints = s.hints(f, v.Chosen)
	for _, pc := range v.Chosen {
		if pc.Inventory.Cache == nil {
			v.NoCache++
		}
	}
	return s.render(c, status, "deploy", v)
}

// defaultsOf are those of the classroom that all the PCs are in.
func (s *Server) defaultsOf(pcs []catalog.Computer) catalog.Defaults {
	for i, pc := range pcs {
		if i > 0 && pc.ClassroomID != pcs[0].ClassroomID {
			return catalog.Defaults{}
		}
	}
	if len(pcs) == 0 {
		return catalog.Defaults{}
	}
	room, err := s.cfg.Catalog.Classroom(pcs[0].ClassroomID)
	if err != nil {
		return catalog.Defaults{}
	}
	return room.Defaults
}

// clonable leaves out the places that no image can be restored to on any of the PCs: swap, extended, cache.
func clonable(groups []targetGroup, pcs []catalog.Computer) []targetGroup {
	takes := map[string]bool{}
	for _, pc := range pcs {
		for _, d := range pc.Inventory.Disks {
			takes[fmt.Sprintf("%d/0", d.Number)] = true
			for _, p := range d.Partitions {
				if kind, known := p.Kind(); !known || kind.Clonable {
					takes[fmt.Sprintf("%d/%d", d.Number, p.Number)] = true
				}
			}
		}
	}
	for i := range groups {
		groups[i].Choices = slices.DeleteFunc(groups[i].Choices, func(c targetChoice) bool { return !takes[c.Value] })
	}
	return groups
}

// manyPCs is from how many PCs on one stream for each is a poor way.
const manyPCs = 4

// A hint is what a choice means, for people.
type hint struct {
	Text   string
	Format bool // partitioning or formatting first is the way out
}

// hints are what the choices mean.
func (s *Server) hints(f deployForm, pcs []catalog.Computer) []hint {
	var hints []hint
	if f.Protocol == protocol.Unicast && f.From != protocol.Cache && len(pcs) >= manyPCs {
		hints = append(hints, hint{Text: fmt.Sprintf("%s sends the image once for each of the %d PCs, which share the network. %s sends it once for all.",
			protocol.Unicast, len(pcs), protocol.Multicast)})
	}
	source := f.source()
	if source.Name == "" || source.Set || f.Mode == instruction.UpdateCache {
		return hints
	}
	img, err := s.image(source.Repository, source.Name)
	if err != nil || !img.HasFile() || isDiskImage(img.Image) || f.Layout {
		return hints
	}
	number, part := img.Source.Disk, img.Installed()
	if d, p, ok := strings.Cut(f.Target, "/"); ok {
		number, _ = strconv.Atoi(d)
		part, _ = strconv.Atoi(p)
	}
	other, efi := 0, 0
	for _, pc := range pcs {
		if p, ok := partitionAt(pc, number, part); ok {
			other += boolInt(!p.Holds(img.Info.Filesystem))
			efi += boolInt(p.ESP())
		}
	}
	if other > 0 {
		hints = append(hints, hint{Format: true, Text: fmt.Sprintf(
			"On %s, partition %d of disk %d is of another type than %s, which the image holds. Give it the right type first.",
			count(other, "PC", "PCs"), part, number, img.Info.Filesystem)})
	}
	if efi > 0 {
		hints = append(hints, hint{Text: "This is the EFI system partition, from which the PC starts: " +
			"an image of another system there makes the PC's own systems unreachable."})
	}
	return hints
}

func partitionAt(pc catalog.Computer, number, part int) (disk.Partition, bool) {
	for _, d := range pc.Inventory.Disks {
		for _, p := range d.Partitions {
			if d.Number == number && p.Number == part {
				return p, true
			}
		}
	}
	return disk.Partition{}, false
}

// generateDeploy shows the instructions of the form with the pre-flight, or the form again with what was wrong.
func (s *Server) generateDeploy(c echo.Context) error {
	query := c.QueryParams()
	f := readDeployForm(query)
	var err error
	if f.PCs, err = s.chosen(query); err != nil {
		return err
	}
	text, err := "", invalid("choose at least one PC")
	if len(f.PCs) > 0 {
		text, err = s.compose(f)
	}
	switch {
	case err == nil:
		return s.showProgram(c, programForm{PCs: f.PCs, Text: text, Late: f.Late, From: "/deploy?" + string(f.Query())})
	case statusOf(err) == http.StatusInternalServerError:
		return err
	}
	return s.deployPage(c, statusOf(err), f, textOf(err))
}
