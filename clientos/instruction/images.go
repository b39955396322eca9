package instruction

import (
	"fmt"
	"strconv"
	"strings"

	"aula/clientos/protocol"
	"aula/imagestore/format"
)

// Words of images that come to a PC.

func (h habit) parsePartition(p *parser, s *Statement) {
	p.source(s)
	s.Image = p.image("the name of an image")
	p.disk(s)
	p.partition(s)
	p.protocol(s, h)
	p.options(s)
}

func (h habit) writePartition(s Statement, options []string) []string {
	out := []string{writeSource(s), writeImage(s.Image), strconv.Itoa(s.Disk), strconv.Itoa(s.Partition)}
	return append(append(out, writeDelivery(s.Delivery, h)...), writeOptions(s, options)...)
}

func (h habit) parseDisk(p *parser, s *Statement) {
	p.source(s)
	s.Image = p.image("the name of a set of images")
	p.disk(s)
	p.protocol(s, h)
	p.options(s)
}

func (h habit) writeDisk(s Statement, options []string) []string {
	out := []string{writeSource(s), writeImage(s.Image), strconv.Itoa(s.Disk)}
	return append(append(out, writeDelivery(s.Delivery, h)...), writeOptions(s, options)...)
}

func parseUpdateCache(p *parser, s *Statement) {
	s.Delivery.From = protocol.Repo
	s.Repository = p.repository("updateCache fetches into the cache what is in a repository: write REPO")
	s.Image = p.image("the name of an image")
	if t, ok := p.peek(); ok && t.is("RSYNC") {
		p.fail(t, "UNICAST, MULTICAST or TORRENT", "synchronised images are not known here: an image comes as a file")
	}
	p.protocol(s, updates)
	p.options(s)
}

func writeUpdateCache(s Statement, options []string) []string {
	out := []string{writeRepository(s.Repository), writeImage(s.Image)}
	return append(append(out, writeDelivery(s.Delivery, updates)...), writeOptions(s, options)...)
}

func parseDeleteCached(p *parser, s *Statement) {
	for first := true; first || len(p.tokens) > 0 && p.err == nil; first = false {
		s.Images = append(s.Images, p.image("the name of an image"))
	}
}

func writeDeleteCached(s Statement, _ []string) []string {
	var out []string
	for _, name := range s.Images {
		out = append(out, writeImage(name))
	}
	return out
}

// Words of images that are made of a PC.

const notIntoCache = "images are kept in a repository: write REPO; updateCache brings them into the caches"

func parseCreateImage(p *parser, s *Statement) {
	p.disk(s)
	p.partition(s)
	s.Repository = p.repository(notIntoCache)
	s.Image = p.image("a name for the image")
	p.compressor(s)
}

func writeCreateImage(s Statement, _ []string) []string {
	out := []string{strconv.Itoa(s.Disk), strconv.Itoa(s.Partition), writeRepository(s.Repository), writeImage(s.Image)}
	return append(out, writeCompressor(s)...)
}

func parseCreateDiskImage(p *parser, s *Statement) {
	p.disk(s)
	s.Repository = p.repository(notIntoCache)
	s.Image = p.image("a name for the set of images")
	p.compressor(s)
}

func writeCreateDiskImage(s Statement, _ []string) []string {
	return append([]string{strconv.Itoa(s.Disk), writeRepository(s.Repository), writeImage(s.Image)}, writeCompressor(s)...)
}

var compressors = []string{format.Zstd, format.Lzop, format.Gzip}

// compressor takes COMPRESSOR[:LEVEL], when it is there.
func (p *parser) compressor(s *Statement) {
	t, ok := p.peek()
	if !ok {
		return
	}
	p.next("")
	const expected = "a compressor (ZSTD, LZOP or GZIP)"
	name, level, leveled := strings.Cut(t.text, ":")
	for _, known := range compressors {
		if strings.EqualFold(name, known) {
			s.Compressor = known
		}
	}
	if s.Compressor == "" {
		hint := didYouMean(name, compressors)
		if strings.EqualFold(name, "partclone") || strings.EqualFold(name, "ntfsclone") || strings.EqualFold(name, "partimage") {
			hint = "the program that reads the partition is chosen by its filesystem: leave " + name + " out"
		}
		p.fail(t, expected, hint)
		return
	}
	if !leveled {
		return
	}
	at := t.from(len(name) + 1)
	n, ok := digits(level)
	err := format.CheckCompressor(s.Compressor, n)
	if !ok || n == 0 || err != nil {
		p.fail(at, fmt.Sprintf("a level of %s, from 1 to %d", s.Compressor, highestLevel(s.Compressor)), "")
		return
	}
	s.Level = n
}

func highestLevel(compressor string) int {
	n := 0
	for format.CheckCompressor(compressor, n+1) == nil {
		n++
	}
	return n
}

func writeCompressor(s Statement) []string {
	switch {
	case s.Compressor == "" && s.Level == 0:
		return nil
	case s.Compressor == "":
		return []string{format.Zstd + ":" + strconv.Itoa(s.Level)}
	case s.Level == 0:
		return []string{quote(s.Compressor, false)}
	}
	return []string{quote(s.Compressor+":"+strconv.Itoa(s.Level), false)}
}
