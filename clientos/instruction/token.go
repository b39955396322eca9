package instruction

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// A token is one word of a statement, without its quotes.
type token struct {
	text         string
	quoted       bool // all or part of it, so that it is no keyword
	plain        int  // characters before the first quote: as far as columns can be counted within the token
	line, column int
	after        int // the column behind it
}

// from is the rest of t from byte i on, to be spoken of in an error.
func (t token) from(i int) token {
	if before := utf8.RuneCountInString(t.text[:i]); before <= t.plain {
		t.column += before
	}
	t.text = t.text[i:]
	return t
}

// is tells whether t is a keyword, in whatever case.
func (t token) is(keyword string) bool { return !t.quoted && strings.EqualFold(t.text, keyword) }

// A lexer cuts a text into statements, and these into tokens.
type lexer struct {
	text         []rune
	at           int
	line, column int

	statement  []token
	statements []lexed
	errors     SyntaxErrors
	bad        bool // the statement has an error, and is left out
}

// A lexed statement is never empty.
type lexed struct {
	tokens []token
	end    token // stands behind the last, for what is missing there
}

// lex cuts text into statements. Those in which a quote is not closed, or that have control characters, are left out, with an error.
func lex(text string) ([]lexed, SyntaxErrors) {
	l := lexer{text: []rune(strings.TrimPrefix(text, "\ufeff")), line: 1, column: 1}
	for l.at < len(l.text) {
		switch c := l.text[l.at]; {
		case c == '\n' || c == ';':
			l.next()
			l.finish()
		case c == '#':
			for l.at < len(l.text) && l.text[l.at] != '\n' {
				l.next()
			}
		case unicode.IsSpace(c):
			l.next()
		default:
			l.token()
		}
	}
	l.finish()
	return l.statements, l.errors
}

// next takes one character.
func (l *lexer) next() rune {
	c := l.text[l.at]
	l.at++
	l.column++
	if c == '\n' {
		l.line, l.column = l.line+1, 1
	}
	return c
}

func (l *lexer) finish() {
	if len(l.statement) > 0 && !l.bad {
		last := l.statement[len(l.statement)-1]
		l.statements = append(l.statements, lexed{tokens: l.statement, end: token{text: atEnd, line: last.line, column: last.after}})
	}
	l.statement, l.bad = nil, false
}

// token takes characters up to the next blank; within quotes blanks are taken as well.
func (l *lexer) token() {
	t := token{line: l.line, column: l.column}
	start := l.at
	var b strings.Builder
	for l.at < len(l.text) {
		c := l.text[l.at]
		if unicode.IsSpace(c) || c == ';' || c == '#' {
			break
		}
		if unicode.IsControl(c) || c == utf8.RuneError {
			l.fail(SyntaxError{Line: l.line, Column: l.column, Expected: "text", Found: string(c), Hint: "such a character is in no instruction: type it anew"})
		}
		if c != '"' && c != '\'' {
			b.WriteRune(l.next())
			continue
		}
		if !t.quoted {
			t.quoted, t.plain = true, l.at-start
		}
		if !l.quotation(&b) {
			break
		}
	}
	t.text, t.after = b.String(), l.column
	if !t.quoted {
		t.plain = l.at - start
	}
	l.statement = append(l.statement, t)
}

// quotation takes what is between two quotes, which are on one line. Within double ones a backslash takes the next character for what it is.
func (l *lexer) quotation(b *strings.Builder) (closed bool) {
	line, column, mark := l.line, l.column, l.next()
	start := l.at
	for l.at < len(l.text) && l.text[l.at] != '\n' {
		if c := l.text[l.at]; unicode.IsControl(c) && c != '\t' || c == utf8.RuneError {
			l.fail(SyntaxError{Line: l.line, Column: l.column, Expected: "text", Found: string(c), Hint: "such a character is in no label and no name"})
		}
		c := l.next()
		switch {
		case c == mark:
			return true
		case c == '\\' && mark == '"' && l.at < len(l.text) && (l.text[l.at] == '"' || l.text[l.at] == '\\'):
			c = l.next()
		}
		b.WriteRune(c)
	}
	l.fail(SyntaxError{Line: line, Column: column, Expected: "a closing " + string(mark) + " on the same line",
		Found: string(mark) + strings.TrimRight(string(l.text[start:l.at]), "\r"), Hint: `for example: "Data of room 4"`})
	return false
}

// fail notes the first error of a statement.
func (l *lexer) fail(e SyntaxError) {
	if !l.bad {
		l.errors = append(l.errors, &e)
	}
	l.bad = true
}

// quote writes a token so that lex reads it back; exact is for one that would else be taken for a keyword.
func quote(s string, exact bool) string {
	special := func(c rune) bool { return unicode.IsSpace(c) || c == ';' || c == '#' || c == '"' || c == '\'' }
	if s != "" && !exact && !strings.ContainsFunc(s, special) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
