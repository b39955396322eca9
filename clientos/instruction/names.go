package instruction

import (
	"fmt"
	"net/netip"
	"strings"

	"aula/clientos/protocol"
	"aula/imagestore"
)

// source takes where images come from: REPO, CACHE, or the name of a repository. A quoted one is always a name.
func (p *parser) source(s *Statement) {
	const expected = "REPO, CACHE or the name of a repository"
	t, ok := p.next(expected)
	switch {
	case !ok:
	case t.is(protocol.Cache):
		s.Delivery.From = protocol.Cache
	default:
		s.Delivery.From = protocol.Repo
		s.Repository = p.repositoryIn(t, expected)
	}
}

// repository takes a repository that cannot be the cache.
func (p *parser) repository(whyNotCache string) string {
	const expected = "REPO or the name of a repository"
	t, ok := p.next(expected)
	if !ok {
		return ""
	}
	if t.is(protocol.Cache) {
		p.fail(t, expected, whyNotCache)
	}
	return p.repositoryIn(t, expected)
}

// repositoryIn is the name in t, nothing for REPO.
func (p *parser) repositoryIn(t token, expected string) string {
	if t.is(protocol.Repo) {
		return ""
	}
	if !t.quoted && isAddress(t.text) {
		p.fail(t, expected, fmt.Sprintf("repositories are called by name, not by address: write REPO for that of the room, or the name in place of %s", t.text))
	}
	if err := imagestore.CheckName(t.text); err != nil {
		p.fail(t, expected, err.Error())
	}
	return t.text
}

func isAddress(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// writeSource writes what source reads.
func writeSource(s Statement) string {
	if s.Delivery.From == protocol.Cache {
		return protocol.Cache
	}
	return writeRepository(s.Repository)
}

func writeRepository(name string) string {
	if name == "" {
		return protocol.Repo
	}
	return quote(name, strings.EqualFold(name, protocol.Repo) || strings.EqualFold(name, protocol.Cache) || isAddress(name))
}

// image takes the name of an image, of a set when what says so.
func (p *parser) image(what string) string {
	t, ok := p.next(what)
	if !ok {
		return ""
	}
	return p.imageIn(t, what)
}

// imageIn is the name in t: scripts of OpenGnsys write a slash before it, and its extension behind.
func (p *parser) imageIn(t token, what string) string {
	name := strings.TrimSuffix(strings.TrimPrefix(t.text, "/"), extension)
	if err := imagestore.CheckName(name); err != nil {
		hint := err.Error()
		if strings.Contains(name, "/") {
			hint = fmt.Sprintf("images lie in no directories; %q would do", imagestore.SuggestName(name))
		}
		p.fail(t, what, hint)
	}
	return name
}

const extension = ".img"

// writeImage writes what image reads; a name that ends in the extension gets it once more.
func writeImage(name string) string {
	if strings.HasSuffix(name, extension) {
		name += extension
	}
	return quote(name, false)
}
