package instruction

import (
	"fmt"
	"strconv"
	"strings"
)

// The options, which stand behind the arguments that OpenGnsys knows. Those with a = have a value.
const (
	optRevision = "revision="
	optFallback = "fallback="
	optGrow     = "grow="
	optSetDisk  = "setdisk="
	optLayout   = "layout"
	optPlain    = "plain"
	optBoot     = "boot="
	optCache    = "cache="
)

// isOption tells whether t looks like an option, be it one of this word or not.
func isOption(t token) bool {
	return !t.quoted && (strings.Contains(t.text, "=") || t.is(optLayout) || t.is(optPlain))
}

// optionsOf are the options of a word as a writer begins them.
func optionsOf(w *word) []string { return w.options }

// options takes the options up to the end, each at most once.
func (p *parser) options(s *Statement) {
	seen := map[string]bool{}
	for {
		t, ok := p.peek()
		if !ok {
			return
		}
		p.next("")
		name, value := p.option(t)
		if seen[name] {
			p.fail(t, "each option once", fmt.Sprintf("%s is there twice", strings.TrimSuffix(name, "=")))
		}
		seen[name] = true
		p.set(s, t, name, value)
	}
}

// option finds which of the word's options t is.
func (p *parser) option(t token) (name, value string) {
	for _, name := range p.word.options {
		rest := len(t.text) - len(name)
		switch {
		case t.quoted || rest < 0 || !strings.EqualFold(t.text[:len(name)], name):
		case strings.HasSuffix(name, "=") || rest == 0:
			return name, t.text[len(name):]
		}
	}
	written, _, isPair := strings.Cut(t.text, "=")
	if isPair {
		written += "="
	}
	hint := didYouMean(written, p.word.options)
	if hint == "" {
		hint = "options of " + p.word.name + ": " + strings.Join(p.word.options, ", ")
	}
	p.fail(t, "an option, or the end of the instruction", hint)
	return "", ""
}

func (p *parser) set(s *Statement, t token, name, value string) {
	at := t.from(len(t.text) - len(value))
	switch name {
	case optRevision:
		s.Revision = p.numberIn(at, fmt.Sprintf("a revision from 1 to %d", maxRevision), maxRevision)
	case optFallback:
		p.fallback(t, s, value)
	case optGrow:
		s.Grow = p.numberIn(at, fmt.Sprintf("a partition number from 1 to %d", maxPartition), maxPartition)
	case optSetDisk:
		s.SetDisk = p.numberIn(at, fmt.Sprintf("a disk number from 1 to %d", maxDisk), maxDisk)
	case optLayout:
		s.Layout = true
	case optPlain:
		s.Plain = true
	case optBoot:
		p.boot(at, s)
	case optCache:
		s.Scheme.Cache = p.cacheIn(at, "keep, none or "+sizeForm)
	}
}

// writeOptions writes what options reads, those of the word.
func writeOptions(s Statement, options []string) []string {
	var out []string
	number := func(name string, n int) {
		if n > 0 {
			out = append(out, name+strconv.Itoa(n))
		}
	}
	flag := func(name string, on bool) {
		if on {
			out = append(out, name)
		}
	}
	for _, name := range options {
		switch name {
		case optRevision:
			number(name, s.Revision)
		case optFallback:
			out = append(out, fallbackOf(s.Delivery)...)
		case optGrow:
			number(name, s.Grow)
		case optSetDisk:
			number(name, s.SetDisk)
		case optLayout:
			flag(name, s.Layout)
		case optPlain:
			flag(name, s.Plain)
		}
	}
	return out
}
