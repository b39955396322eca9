package instruction

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"aula/clientos/disk"
)

// Words of disks, partitions and the cache. OpenGnsys' MSDOS is "dos" in a disk.Scheme.

var tables = []struct{ word, table string }{{"MSDOS", "dos"}, {"GPT", "gpt"}}

func parsePartitionDisk(p *parser, s *Statement) {
	p.disk(s)
	table := p.keyword("the table, MSDOS or GPT", tables[0].word, tables[1].word)
	s.Scheme = &disk.Scheme{Cache: disk.KeepCache}
	for _, t := range tables {
		if t.word == table {
			s.Scheme.Table = t.table
		}
	}
	first, _ := p.peek()
	p.planned(s.Scheme)
	p.options(s)
	p.possible(first, s.Scheme)
}

// possible refuses a scheme that no disk can have; disk knows which.
func (p *parser) possible(at token, s *disk.Scheme) {
	if p.err != nil {
		return
	}
	if at.line == 0 {
		at = p.end
	}
	err := s.Check()
	var e *disk.Error
	if errors.As(err, &e) && e.Err != nil {
		err = e.Err
	}
	if err != nil {
		p.fail(at, "partitions that a disk can have", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
}

// planned takes the partitions, up to the options. One without a number has that which comes after the one before it.
func (p *parser) planned(s *disk.Scheme) {
	number := 0
	for {
		t, ok := p.peek()
		if !ok || isOption(t) && !strings.Contains(t.text, ":") {
			break
		}
		p.next("")
		if kind, _, _ := strings.Cut(t.text, ":"); strings.EqualFold(kind, "EMPTY") {
			number++ // OpenGnsys' place for a partition that there is none of
			continue
		}
		planned := p.plannedIn(t, number+1)
		if p.err == nil && slices.ContainsFunc(s.Partitions, func(q disk.Planned) bool { return q.Number == planned.Number }) {
			p.fail(t, "each partition once", fmt.Sprintf("partition %d is there twice", planned.Number))
		}
		number = planned.Number
		s.Partitions = append(s.Partitions, planned)
	}
	slices.SortFunc(s.Partitions, func(a, b disk.Planned) int { return cmp.Compare(a.Number, b.Number) })
}

const plannedForm = "a partition as [N:]TYPE:SIZE[:FILESYSTEM[:LABEL]]"

// plannedIn reads one partition: NTFS:40G, 5:LINUX:*:EXT4:home. The label is all that is left, colons included.
func (p *parser) plannedIn(t token, number int) disk.Planned {
	planned := disk.Planned{Number: number}
	at := t
	field := func() (token, bool) {
		one := at
		text, rest, more := strings.Cut(at.text, ":")
		at = at.from(len(at.text) - len(rest))
		one.text = text
		return one, more
	}
	kind, more := field()
	if n, ok := digits(kind.text); ok && more {
		if n < 1 || n > maxPartition {
			p.fail(kind, fmt.Sprintf("a partition number from 1 to %d", maxPartition), "")
		}
		planned.Number = n
		kind, more = field()
	}
	if !more {
		p.fail(t, plannedForm, "")
		return planned
	}
	if strings.EqualFold(kind.text, disk.TypeCache) {
		p.fail(kind, "a type of partition", "the cache is not one of the partitions: write cache=40G behind them")
	}
	planned.Type = strings.ToUpper(kind.text)
	size, more := field()
	planned.Bytes = p.sizeOrRest(size)
	var name token
	if more {
		name, more = field()
		planned.Filesystem = strings.ToUpper(name.text)
	}
	if more {
		planned.Label = at.text
	}
	switch {
	case strings.ContainsFunc(kind.text, notInNames) || kind.text == "" && name.text == "":
		p.fail(kind, "a type of partition", didYouMean(kind.text, typeNames()))
	case kind.text != "" && !knownType(planned.Type):
		p.fail(kind, "a type of partition", didYouMean(kind.text, typeNames()))
	case name.text != "":
		p.checkFilesystem(name)
	}
	return planned
}

// sizeOrRest reads a size, or * for what the others leave.
func (p *parser) sizeOrRest(t token) int64 {
	if t.text == "*" {
		return 0
	}
	n, err := parseSize(t.text)
	if err != nil {
		p.fail(t, sizeForm+", or * for what is left", err.Error())
	}
	return n
}

func notInNames(c rune) bool {
	return c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
}

// knownType lets those pass that are written as they are in the table, in hexadecimal: disk knows which may be.
func knownType(name string) bool {
	_, ok := disk.TypeNamed(name)
	return ok || strings.Trim(name, "0123456789ABCDEF-") == ""
}

func typeNames() []string {
	var names []string
	for _, t := range disk.Types() {
		names = append(names, t.Name)
	}
	return append(names, disk.Filesystems()...)
}

func (p *parser) checkFilesystem(t token) {
	names := disk.Filesystems()
	if !slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, t.text) }) {
		p.fail(t, "a filesystem ("+strings.Join(names, ", ")+")", didYouMean(t.text, names))
	}
}

// boot marks the partition from which a PC with BIOS starts.
func (p *parser) boot(t token, s *Statement) {
	const expected = "the number of one of the partitions"
	n, _ := digits(t.text)
	for i := range s.Scheme.Partitions {
		if s.Scheme.Partitions[i].Number == n {
			s.Scheme.Partitions[i].Bootable = true
			return
		}
	}
	p.fail(t, expected, "")
}

// cacheIn reads the size of a cache. OpenGnsys' numbers 0 and -1 are those of initCache alone.
func (p *parser) cacheIn(t token, expected string) int64 {
	switch {
	case t.is("keep"):
		return disk.KeepCache
	case t.is("none"):
		return 0
	}
	n, err := parseSize(t.text)
	if err != nil {
		p.fail(t, expected, err.Error())
	}
	return n
}

func writePartitionDisk(s Statement, _ []string) []string {
	out := []string{strconv.Itoa(s.Disk)}
	scheme := schemeOf(s)
	for _, t := range tables {
		if t.table == scheme.Table {
			out = append(out, t.word)
		}
	}
	number := 0
	var bootable []string
	for _, planned := range scheme.Partitions {
		out = append(out, writePlanned(planned, number+1))
		number = planned.Number
		if planned.Bootable {
			bootable = append(bootable, optBoot+strconv.Itoa(number))
		}
	}
	return append(append(out, bootable...), optCache+writeCache(scheme.Cache, "none"))
}

// schemeOf is the scheme of a statement, so that one without can be written too.
func schemeOf(s Statement) disk.Scheme {
	if s.Scheme == nil {
		return disk.Scheme{}
	}
	return *s.Scheme
}

func writePlanned(planned disk.Planned, expected int) string {
	size := "*"
	if planned.Bytes > 0 {
		size = formatSize(planned.Bytes)
	}
	text := planned.Type + ":" + size
	if _, isNumber := digits(planned.Type); isNumber || planned.Number != expected {
		text = strconv.Itoa(planned.Number) + ":" + text
	}
	if planned.Filesystem == "" && planned.Label == "" {
		return quote(text, false)
	}
	text = quote(text+":"+planned.Filesystem, false)
	if planned.Label != "" {
		text += ":" + quote(planned.Label, strings.Contains(planned.Label, "="))
	}
	return text
}

func writeCache(bytes int64, none string) string {
	switch bytes {
	case disk.KeepCache:
		return "keep"
	case 0:
		return none
	}
	return formatSize(bytes)
}

func parseFormatPartition(p *parser, s *Statement) {
	p.disk(s)
	if t, ok := p.peek(); ok && t.is("CACHE") {
		p.fail(t, fmt.Sprintf("a partition number from 1 to %d", maxPartition), "for the cache write initCache and its size")
	}
	p.partition(s)
	t, ok := p.next("a filesystem (" + strings.Join(disk.Filesystems(), ", ") + ")")
	if !ok {
		return
	}
	p.checkFilesystem(t)
	planned := disk.Planned{Number: s.Partition, Filesystem: strings.ToUpper(t.text)}
	if label, ok := p.peek(); ok {
		p.next("")
		planned.Label = label.text
	}
	s.Scheme = &disk.Scheme{Partitions: []disk.Planned{planned}, Cache: disk.KeepCache}
	p.possible(t, s.Scheme)
}

func writeFormatPartition(s Statement, _ []string) []string {
	out := []string{strconv.Itoa(s.Disk), strconv.Itoa(s.Partition)}
	for _, planned := range schemeOf(s).Partitions {
		out = append(out, quote(planned.Filesystem, false))
		if planned.Label != "" {
			out = append(out, quote(planned.Label, false))
		}
	}
	return out
}

// parseInitCache takes [DISK] SIZE. A script of OpenGnsys may name the partition as well; here the cache is the last of its disk.
func parseInitCache(p *parser, s *Statement) {
	const expected = "keep, delete, or " + sizeForm
	s.Disk = 1
	switch {
	case len(p.tokens) == 2:
		p.disk(s)
	case len(p.tokens) == 3:
		p.fail(p.tokens[1], "the size of the cache", "the cache is the last partition of the disk: leave its number out")
	}
	t, ok := p.next(expected)
	if !ok {
		return
	}
	s.Scheme = &disk.Scheme{}
	switch {
	case t.is("delete"), t.text == "-1":
	case t.text == "0":
		s.Scheme.Cache = disk.KeepCache
	case t.is("none"):
		p.fail(t, expected, "did you mean delete?")
	default:
		s.Scheme.Cache = p.cacheIn(t, expected)
	}
	p.possible(t, s.Scheme)
}

func writeInitCache(s Statement, _ []string) []string {
	return []string{strconv.Itoa(max(s.Disk, 1)), writeCache(schemeOf(s).Cache, "delete")}
}
