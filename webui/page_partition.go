package webui

import (
	"cmp"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/clientos/disk"
	"aula/clientos/instruction"
)

// Partitioning and formatting: a table of partitions that becomes an instruction, with what each PC's disk would look like and lose.

// What the page's forms do.
const (
	wholeTable   = "table"
	oneFormat    = "format"
	onlyCache    = "cache"
	maxRows      = 128 // of a GPT
	blankRows    = 2
	mib          = 1 << 20
	cacheKeep    = "keep"
	cacheNone    = "none"
	cacheSize    = "size"
	fromTemplate = "template:"
	fromPC       = "pc:"
)

// A schemeForm is what the page's forms ask.
type schemeForm struct {
	PCs   []string
	What  string // wholeTable, oneFormat or onlyCache
	Disk  string
	From  string // where the rows come from: a template, a PC, or empty
	Table string // MSDOS or GPT
	Rows  []schemeRow
	Boot  string // number of the partition to start from, of an MSDOS table
	Cache string
	Size  string // of the cache
	Late  string
}

// A schemeRow is a partition as somebody typed it. Without type and filesystem it is none.
type schemeRow struct {
	Number, Type, Filesystem, Label, Size string
}

func (r schemeRow) empty() bool { return r.Type == "" && r.Filesystem == "" }

func readSchemeForm(v url.Values) schemeForm {
	f := schemeForm{PCs: v["pc"], What: cmp.Or(v.Get("what"), wholeTable), Disk: cmp.Or(v.Get("disk"), "1"), From: v.Get("from"), Table: v.Get("table"),
		Boot: v.Get("boot"), Cache: cmp.Or(v.Get("cache"), cacheKeep), Size: v.Get("cachesize"), Late: v.Get("late")}
	at := func(name string, i int) string {
		if list := v[name]; i < len(list) {
			return strings.TrimSpace(list[i])
		}
		return ""
	}
	for i := range min(len(v["type"]), maxRows) {
		f.Rows = append(f.Rows, schemeRow{at("number", i), at("type", i), at("filesystem", i), at("label", i), at("size", i)})
	}
	return f
}

// Query writes the form as the query of a link; its values are escaped.
func (f schemeForm) Query() template.URL {
	v := url.Values{
		"pc": f.PCs, "what": {f.What}, "disk": {f.Disk}, "table": {f.Table}, "boot": {f.Boot}, "cache": {f.Cache}, "cachesize": {f.Size}, "late": {f.Late},
	}
	for _, r := range f.Rows {
		if r.empty() {
			continue
		}
		for name, value := range map[string]string{"number": r.Number, "type": r.Type, "filesystem": r.Filesystem, "label": r.Label, "size": r.Size} {
			v.Add(name, value)
		}
	}
	return template.URL(v.Encode())
}

// fill takes the rows of a scheme.
func (f *schemeForm) fill(s disk.Scheme) {
	f.Table, f.Rows, f.Boot = tableWord(s.Table), nil, ""
	for _, p := range s.Partitions {
		f.Rows = append(f.Rows, schemeRow{strconv.Itoa(p.Number), p.Type, p.Filesystem, p.Label, sizeField(p.Bytes)})
		if p.Bootable {
			f.Boot = strconv.Itoa(p.Number)
		}
	}
	switch {
	case s.Cache == disk.KeepCache:
		f.Cache, f.Size = cacheKeep, ""
	case s.Cache == 0:
		f.Cache, f.Size = cacheNone, ""
	default:
		f.Cache, f.Size = cacheSize, sizeField(s.Cache)
	}
}

func tableWord(table string) string {
	if table == "dos" {
		return "MSDOS"
	}
	return strings.ToUpper(table)
}

// sizeField writes a size as the fields take it: 0 is what is left.
func sizeField(bytes int64) string {
	switch {
	case bytes == 0:
		return ""
	case bytes%(1<<30) == 0:
		return fmt.Sprintf("%dG", bytes>>30)
	case bytes%mib == 0:
		return fmt.Sprintf("%dM", bytes/mib)
	}
	return fmt.Sprintf("%dK", (bytes+1023)/1024)
}

// parseField reads what sizeField writes, and sizes with a fraction.
func parseField(what, s string) (int64, error) {
	s = strings.ToUpper(strings.ReplaceAll(strings.TrimSpace(s), " ", ""))
	refuse := invalid("%s: write a size such as 60G or 500M, powers of 1024, and not %.40q", what, s)
	digits := strings.TrimRight(s, "IKMGTB")
	unit, ok := map[string]float64{"K": 1 << 10, "KIB": 1 << 10, "KB": 1 << 10, "M": 1 << 20, "MIB": 1 << 20, "MB": 1 << 20, "G": 1 << 30, "GIB": 1 << 30,
		"GB": 1 << 30, "T": 1 << 40, "TIB": 1 << 40, "TB": 1 << 40}[s[len(digits):]]
	n, err := strconv.ParseFloat(strings.ReplaceAll(digits, ",", "."), 64)
	if err != nil || !ok || !(n > 0) || n*unit >= 1<<50 {
		return 0, refuse
	}
	bytes := int64(n * unit)
	if bytes >= mib {
		bytes = (bytes + mib - 1) / mib * mib // partitions begin and end there
	}
	return bytes, nil
}

// scheme makes of the form how the disk is to be.
func (f schemeForm) scheme() (disk.Scheme, error) {
	s := disk.Scheme{Cache: disk.KeepCache}
	var err error
	switch f.Cache {
	case cacheKeep:
	case cacheNone:
		s.Cache = 0
	case cacheSize:
		if s.Cache, err = parseField("the cache", f.Size); err != nil {
			return s, err
		}
	default:
		return s, invalid("the cache is kept, removed or given a size, not %.40q", f.Cache)
	}
	if f.What == onlyCache {
		if err := s.Check(); err != nil {
			return s, textError(err)
		}
		return s, nil
	}
	if f.What == wholeTable {
		if s.Table = map[string]string{"MSDOS": "dos", "GPT": "gpt"}[f.Table]; s.Table == "" {
			return s, invalid("choose a table: MSDOS or GPT")
		}
	}
	for i, r := range f.Rows {
		if r.empty() {
			continue
		}
		p := disk.Planned{Type: r.Type, Filesystem: r.Filesystem, Label: r.Label, Bootable: r.Number != "" && r.Number == f.Boot && s.Table == "dos"}
		if p.Number, err = strconv.Atoi(cmp.Or(r.Number, strconv.Itoa(i+1))); err != nil || p.Number < 1 {
			return s, invalid("partitions are numbered from 1, and %.40q is no such number", r.Number)
		}
		if r.Size != "" {
			if p.Bytes, err = parseField(fmt.Sprintf("partition %d", p.Number), r.Size); err != nil {
				return s, err
			}
		}
		s.Partitions = append(s.Partitions, p)
	}
	slices.SortStableFunc(s.Partitions, func(a, b disk.Planned) int { return a.Number - b.Number })
	if len(s.Partitions) == 0 {
		return s, invalid("give at least one partition a type")
	}
	if err := s.Check(); err != nil {
		return s, textError(err)
	}
	return s, nil
}

// statement writes the form as an instruction.
func (f schemeForm) statement() (instruction.Statement, error) {
	word := map[string]string{wholeTable: instruction.PartitionDisk, oneFormat: instruction.FormatPartition, onlyCache: instruction.InitCache}[f.What]
	st := instruction.Statement{Word: word}
	var err error
	if st.Disk, err = strconv.Atoi(f.Disk); err != nil || st.Disk < 1 || word == "" {
		return st, invalid("disks are numbered from 1, and %.40q is no such number", f.Disk)
	}
	s, err := f.scheme()
	if err != nil {
		return st, err
	}
	st.Scheme = &s
	if f.What == oneFormat {
		st.Partition = s.Partitions[0].Number
	}
	return st, nil
}

type partitionPage struct {
	page
	schemeForm
	Chosen      []catalog.Computer
	Rooms       []pickRoom
	Templates   []catalog.SchemeTemplate
	Sources     []choice // where the rows can come from
	Types       []string
	Filesystems []string
	Formatable  []targetChoice // partitions that can be formatted
	Previews    []schemePreview
	Wrong       string // what is wrong with the rows
	Lates       []choice
	Home        string // where Back leads
	Problem     string
}

func (s *Server) showPartition(c echo.Context) error {
	query := c.QueryParams()
	f := readSchemeForm(query)
	var err error
	if f.PCs, err = s.chosen(query); err != nil {
		return err
	}
	return s.partitionPage(c, http.StatusOK, f, "")
}

func (s *Server) partitionPage(c echo.Context, status int, f schemeForm, problem string) error {
	v := partitionPage{
		page: s.page(c, "rooms", "Partition and format"), Problem: problem, Filesystems: disk.Filesystems(), Lates: programForm{Late: f.Late}.Lates(),
	}
	v.Path = "/partition"
	var err error
	if v.Chosen, err = s.computersOf(f.PCs); err != nil {
		return err
	}
	if v.Home = homeOf(v.Chosen); len(v.Chosen) == 0 {
		if v.Rooms, err = s.pickRooms(); err != nil {
			return err
		}
	}
	if v.Templates, err = s.cfg.Catalog.SchemeTemplates(); err != nil {
		return err
	}
	if f.What == wholeTable && f.From != "" {
		if err := s.startFrom(&f, v.Templates); err != nil {
			return err
		}
	}
	v.schemeForm = f
	if err := s.describePartition(&v); err != nil {
		return err
	}
	v.preview()
	return s.render(c, status, "partition", v)
}

// startFrom takes the rows of a template or of a PC's disk.
func (s *Server) startFrom(f *schemeForm, templates []catalog.SchemeTemplate) error {
	if id, ok := strings.CutPrefix(f.From, fromTemplate); ok {
		i := slices.IndexFunc(templates, func(t catalog.SchemeTemplate) bool { return t.ID == id })
		if i < 0 {
			return fmt.Errorf("template: %w", catalog.ErrNotFound)
		}
		f.fill(templates[i].Scheme)
		return nil
	}
	id, ok := strings.CutPrefix(f.From, fromPC)
	if !ok {
		return nil
	}
	pc, err := s.cfg.Catalog.Computer(id)
	if err != nil {
		return err
	}
	for _, d := range pc.Inventory.Disks {
		if strconv.Itoa(d.Number) == f.Disk {
			f.fill(disk.SchemeOf(d))
		}
	}
	return nil
}

// describePartition fills in what there is to choose from.
func (s *Server) describePartition(v *partitionPage) error {
	for _, t := range v.Templates {
		v.Sources = append(v.Sources, choice{fromTemplate + t.ID, t.Name})
	}
	computers, err := s.cfg.Catalog.Computers()
	if err != nil {
		return err
	}
	for _, pc := range computers {
		if pc.State == catalog.Accepted && len(pc.Inventory.Disks) > 0 {
			v.Sources = append(v.Sources, choice{fromPC + pc.ID, "the disk of " + pc.Name})
		}
	}
	for _, t := range disk.Types() {
		if t.Name != disk.TypeCache {
			v.Types = append(v.Types, t.Name)
		}
	}
	for _, g := range clonable(targetChoices(v.Chosen), v.Chosen) {
		for _, c := range g.Choices {
			if !strings.HasSuffix(c.Value, "/0") {
				v.Formatable = append(v.Formatable, c)
			}
		}
	}
	if v.Table == "" {
		v.Table = tableOf(v.Chosen)
	}
	for _, r := range v.Rows {
		if r.Type != "" && !slices.Contains(v.Types, r.Type) {
			v.Types = append(v.Types, r.Type) // of a copied disk
		}
	}
	if v.What == wholeTable {
		v.pad()
	}
	return nil
}

// pad adds rows to be filled in.
func (v *partitionPage) pad() {
	v.Rows = slices.DeleteFunc(v.Rows, schemeRow.empty)
	next := 1
	for _, r := range v.Rows {
		if n, err := strconv.Atoi(r.Number); err == nil && n >= next {
			next = n + 1
		}
	}
	for range blankRows + 2*boolInt(len(v.Rows) == 0) {
		if len(v.Rows) < maxRows {
			v.Rows = append(v.Rows, schemeRow{Number: strconv.Itoa(next)})
			next++
		}
	}
}

// tableOf is the table that the PCs' firmware asks for: MSDOS with BIOS.
func tableOf(pcs []catalog.Computer) string {
	for _, pc := range pcs {
		if pc.Inventory.Firmware == "bios" {
			return "MSDOS"
		}
	}
	return "GPT"
}

// generatePartition shows the instruction of the form with the pre-flight, or the form again with what was wrong.
func (s *Server) generatePartition(c echo.Context) error {
	query := c.QueryParams()
	f := readSchemeForm(query)
	var err error
	if f.PCs, err = s.chosen(query); err != nil {
		return err
	}
	if place := query.Get("place"); place != "" { // of the form that formats one partition
		d, part, _ := strings.Cut(place, "/")
		f.Disk = d
		for i := range f.Rows {
			f.Rows[i].Number = part
		}
	}
	st, err := f.statement()
	if err == nil && len(f.PCs) == 0 {
		err = invalid("choose at least one PC")
	}
	if err != nil {
		return s.partitionPage(c, statusOf(err), f, textOf(err))
	}
	return s.showProgram(c, programForm{PCs: f.PCs, Text: composed(st), Late: f.Late, From: "/partition?" + string(f.Query())})
}

// saveTemplate keeps the rows of the form for another time.
func (s *Server) saveTemplate(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return err
	}
	f := readSchemeForm(form)
	scheme, err := f.scheme()
	if err == nil {
		_, err = s.cfg.Catalog.PutSchemeTemplate(catalog.SchemeTemplate{Name: form.Get("template"), Scheme: scheme})
	}
	switch {
	case err == nil:
		return s.goTo(c, "/partition?did=saved&"+string(f.Query()))
	case statusOf(err) == http.StatusInternalServerError:
		return err
	}
	return s.partitionPage(c, statusOf(err), f, textOf(err))
}

func (s *Server) removeTemplate(c echo.Context) error {
	if err := s.cfg.Catalog.RemoveSchemeTemplate(c.Param("id")); err != nil {
		return err
	}
	return s.goTo(c, "/partition?did=removed")
}
