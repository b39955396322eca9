package instruction

import (
	"fmt"
	"strings"
)

// A SyntaxError is what is wrong at one place of a text.
type SyntaxError struct {
	Line   int // from 1
	Column int // from 1, in characters
	Found  string
	// Expected is what could have stood there.
	Expected string
	// Hint is what the writer may have meant, or an example of the right form.
	Hint string
}

// maxShown is how many characters of what was found a message repeats.
const maxShown = 60

// atEnd is what is found where an instruction has ended too soon.
const atEnd = "the end of the instruction"

// Error implements error: line 2, column 21: expected a partition number from 1 to 1024, found "x" (for example: configureOs 1 2).
func (e *SyntaxError) Error() string {
	found := e.Found
	if found != atEnd {
		found = fmt.Sprintf("%q", shorten(found))
	}
	text := fmt.Sprintf("line %d, column %d: expected %s, found %s", e.Line, e.Column, e.Expected, found)
	if e.Hint == "" {
		return text
	}
	return text + " (" + e.Hint + ")"
}

func shorten(s string) string {
	if runes := []rune(s); len(runes) > maxShown {
		return string(runes[:maxShown-1]) + "…"
	}
	return s
}

// SyntaxErrors are all that is wrong with a text, in its order: at most one of each statement, and never none.
type SyntaxErrors []*SyntaxError

// Error implements error: a line for each.
func (e SyntaxErrors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.As find the first *SyntaxError.
func (e SyntaxErrors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}
