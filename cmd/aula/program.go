package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"aula/clientos/instruction"
)

// A programArg is a text of instructions on the command line.
type programArg struct {
	File    string `arg:"" optional:"" help:"File with instructions (docs/instructions.md); - for standard input."`
	Command string `help:"The instructions themselves, in place of a file." short:"c" placeholder:"INSTRUCTIONS"`
}

// read reads it, and refuses what is no program.
func (a programArg) read() (string, instruction.Program, error) {
	switch {
	case a.File != "" && a.Command != "":
		return "", instruction.Program{}, exitError{errors.New("give either a file or -c INSTRUCTIONS, not both"), exitNoFile}
	case a.Command != "":
		program, err := parse("-c", a.Command)
		return a.Command, program, err
	case a.File == "":
		return "", instruction.Program{}, exitError{errors.New("give a file with instructions, - for standard input, or -c INSTRUCTIONS ('aula instruction words' has them)"), exitNoFile}
	}
	return readProgram(a.File)
}

// readProgram reads a file, or the standard input.
func readProgram(path string) (string, instruction.Program, error) {
	name, in := path, os.Stdin
	if path == "-" {
		name = "standard input"
	} else {
		f, err := os.Open(path)
		if err != nil {
			return "", instruction.Program{}, fileError(path, err)
		}
		defer f.Close()
		in = f
	}
	// One byte more than can be: Parse says what is too long.
	text, err := io.ReadAll(io.LimitReader(in, instruction.MaxText+1))
	if err != nil {
		return "", instruction.Program{}, exitError{fmt.Errorf("read instructions from %s: %w", name, err), exitNoFile}
	}
	program, err := parse(name, string(text))
	return string(text), program, err
}

// parse refuses what is no program, and shows where.
func parse(name, text string) (instruction.Program, error) {
	program, err := instruction.Parse(text)
	var all instruction.SyntaxErrors
	if !errors.As(err, &all) {
		return program, err
	}
	return program, exitError{errors.New(pointed(name, text, all)), exitNoFile}
}

// maxPointed is how many characters of a line are shown before what is wrong in it, and as many behind.
const maxPointed = 60

// pointed tells what is wrong with a text: each error, the line that it is in, and a caret below the place.
func pointed(name, text string, errs instruction.SyntaxErrors) string {
	lines := strings.Split(strings.TrimPrefix(text, "\ufeff"), "\n")
	var b strings.Builder
	for i, e := range errs {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s: %v", name, e)
		if e.Line < 1 || e.Line > len(lines) {
			continue
		}
		line := []rune(strings.TrimRight(lines[e.Line-1], "\r"))
		at := min(max(e.Column-1, 0), len(line))
		from, to := max(0, at-maxPointed), min(len(line), at+maxPointed)
		fmt.Fprintf(&b, "\n    %s\n    %s^", plain(line[from:to]), strings.Repeat(" ", at-from))
	}
	return b.String()
}

// plain is what takes one column for each character, and does nothing to a terminal.
func plain(line []rune) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '\t':
			return ' '
		case c < ' ' || c >= 0x7f && c < 0xa0:
			return '?'
		}
		return c
	}, string(line))
}
