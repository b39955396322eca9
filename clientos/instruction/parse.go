package instruction

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Bounds of a text.
const (
	MaxText       = 64 << 10 // bytes
	MaxStatements = 100
	maxErrors     = 20
)

// Parse reads a program. What is wrong with it comes as SyntaxErrors, one for each statement that is none, at most 20 of them.
func Parse(text string) (Program, error) {
	if len(text) > MaxText {
		return Program{}, SyntaxErrors{{Line: 1, Column: 1, Expected: fmt.Sprintf("a text of at most %d KiB", MaxText>>10),
			Found: fmt.Sprintf("%d bytes", len(text)), Hint: "make several procedures of it"}}
	}
	statements, errs := lex(text)
	var program Program
	var before *word
	for i, one := range statements {
		first := one.tokens[0]
		if i == MaxStatements {
			errs = append(errs, &SyntaxError{Line: first.line, Column: first.column, Found: first.text,
				Expected: fmt.Sprintf("at most %d instructions", MaxStatements), Hint: "make several procedures of it"})
			break
		}
		s, word, err := parseStatement(one)
		if err == nil {
			err = follows(first, before, word)
		}
		if err != nil {
			errs = append(errs, err)
		} else {
			program.Statements = append(program.Statements, s)
		}
		if word != nil {
			before = word
		}
	}
	if len(errs) == 0 && len(program.Statements) == 0 {
		errs = SyntaxErrors{{Line: 1, Column: 1, Expected: "an instruction", Found: atEnd, Hint: "the text is empty; for example: " + words[0].example}}
	}
	if len(errs) > 0 {
		return Program{}, inOrder(errs)
	}
	return program, nil
}

// follows refuses a statement that no PC can come to from the one before.
func follows(first token, before, word *word) *SyntaxError {
	e := &SyntaxError{Line: first.line, Column: first.column, Found: first.text}
	switch {
	case before != nil && before.last:
		e.Expected, e.Hint = "no instruction after "+before.name, "the PC is then off, or in its own system: put "+before.name+" last"
	case before != nil && word.first:
		e.Expected, e.Hint = word.name+" only as the first instruction", "all others need PCs that run: put it first"
	default:
		return nil
	}
	return e
}

// inOrder sorts by place: those of quotes were found before all others.
func inOrder(errs SyntaxErrors) SyntaxErrors {
	slices.SortStableFunc(errs, func(a, b *SyntaxError) int { return cmp.Or(a.Line-b.Line, a.Column-b.Column) })
	if len(errs) > maxErrors {
		errs = errs[:maxErrors]
	}
	return errs
}

func parseStatement(one lexed) (Statement, *word, *SyntaxError) {
	first := one.tokens[0]
	w := wordOf(first.text)
	if w == nil {
		return Statement{}, nil, unknownWord(first)
	}
	p := parser{word: w, tokens: one.tokens[1:], end: one.end}
	s := Statement{Word: w.name, Line: first.line, Column: first.column}
	w.parse(&p, &s)
	if t, ok := p.peek(); ok {
		p.fail(t, "the end of the instruction", "it takes no more: "+w.usage)
	}
	return s, w, p.err
}

// foreign are words of OpenGnsys' engine that people bring along, and what they are here.
var foreign = map[string]string{
	"ogrestoreimage": RestoreImage, "ogcreateimage": CreateImage, "ogcreatediskimage": CreateDiskImage, "ogrestorediskimage": RestoreDiskImage,
	"ogupdatecache": UpdateCache, "ogcreatecache": InitCache, "ogformatcache": InitCache, "ogdeletecache": InitCache,
	"ogboot": BootOS, "restaurarimagen": RestoreImage, "crearimagen": CreateImage, "apagar": PowerOff, "reiniciar": Reboot, "arrancar": WakeUp,
	"configurar": PartitionDisk, "eliminarimagencache": DeleteCachedImage, "iniciarsesion": BootOS, "shutdown": PowerOff, "wol": WakeUp,
}

func unknownWord(t token) *SyntaxError {
	e := &SyntaxError{Line: t.line, Column: t.column, Found: t.text, Expected: "the word of an instruction"}
	names := make([]string, len(words))
	for i := range words {
		names[i] = words[i].name
	}
	lower := strings.ToLower(t.text)
	switch {
	case lower == "ogcreatepartitions":
		e.Hint = "write partitionDisk and the table, MSDOS or GPT: partitionDisk 1 MSDOS NTFS:10000000 EXT3:5000000"
	case lower == "cloneremotefrommaster":
		e.Hint = "the appliance is the one that sends: write deployImage with an image of the repository"
	case foreign[lower] != "":
		e.Hint = "write " + foreign[lower]
	case strings.ContainsAny(t.text, "$|&<>`(){}=") || lower == "if" || lower == "for" || lower == "while" || lower == "echo":
		e.Hint = "this is no shell: instructions stand one after the other, with a new line or ; between them"
	default:
		e.Hint = didYouMean(t.text, names)
	}
	if e.Hint == "" {
		e.Hint = "one of " + strings.Join(names, ", ")
	}
	return e
}

// A parser reads the arguments of one statement. After its first error every method does nothing.
type parser struct {
	word   *word
	tokens []token
	end    token
	err    *SyntaxError
}

// peek is the next token, if there is one.
func (p *parser) peek() (token, bool) {
	if p.err != nil || len(p.tokens) == 0 {
		return token{}, false
	}
	return p.tokens[0], true
}

// next takes the next token, which is expected to be there.
func (p *parser) next(expected string) (token, bool) {
	if p.err != nil {
		return token{}, false
	}
	if len(p.tokens) == 0 {
		p.fail(p.end, expected, "")
		return token{}, false
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t, true
}

// fail notes the first error. Without a hint it gives the word's example.
func (p *parser) fail(t token, expected, hint string) {
	if p.err != nil {
		return
	}
	if hint == "" {
		hint = "for example: " + p.word.example
	}
	p.err = &SyntaxError{Line: t.line, Column: t.column, Found: t.text, Expected: expected, Hint: hint}
}

// number takes a number from 1 to most.
func (p *parser) number(what string, most int) int {
	expected := fmt.Sprintf("a %s from 1 to %d", what, most)
	t, ok := p.next(expected)
	if !ok {
		return 0
	}
	return p.numberIn(t, expected, most)
}

func (p *parser) numberIn(t token, expected string, most int) int {
	n, ok := digits(t.text)
	if !ok || n < 1 || n > most {
		p.fail(t, expected, "")
		return 0
	}
	return n
}

// digits reads a number of at most nine digits and nothing else.
func digits(s string) (n int, ok bool) {
	if s == "" || len(s) > 9 {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

const (
	maxDisk      = 64
	maxPartition = 1024 // as clientos/protocol
	maxSeconds   = 86_400
	maxRevision  = 1_000_000
)

func (p *parser) disk(s *Statement)      { s.Disk = p.number("disk number", maxDisk) }
func (p *parser) partition(s *Statement) { s.Partition = p.number("partition number", maxPartition) }

// keyword takes one of some words, in whatever case.
func (p *parser) keyword(expected string, words ...string) string {
	t, ok := p.next(expected)
	if !ok {
		return ""
	}
	for _, w := range words {
		if t.is(w) {
			return w
		}
	}
	p.fail(t, expected, didYouMean(t.text, words))
	return ""
}
