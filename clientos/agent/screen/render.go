package screen

import (
	"fmt"
	"strings"

	"aula/clientos/protocol"
)

// Smallest terminal that is painted whole: the VGA text screen.
const (
	MinWidth  = 80
	MinHeight = 25
)

// Render returns the lines of the screen, exactly height of them, none longer than width characters.
func Render(s State, width, height int) []string {
	width, height = max(width, 20), max(height, 10)
	const margin = 2
	inner := width - 2*margin
	var lines []string
	add := func(more ...string) {
		for _, l := range more {
			lines = append(lines, strings.Repeat(" ", margin)+l)
		}
	}

	// Two rows of large characters take two fifths of the smallest screen, and about half of a larger one.
	scale := max(height/(MinHeight-4), 1)
	add(spread("Aula"+prefixed("   ", s.Classroom), s.Server, inner), "")
	if title := s.title(); title != "" {
		add(big(title, inner, scale)...)
		add("")
	}
	add(big(s.headline(), inner, scale)...)
	add("")
	add(s.explanation(inner)...)

	footer := strings.Repeat(" ", margin) + spread(strings.TrimSpace(s.Address+"   "+s.MAC), s.Version, inner)
	// What does not fit is cut at the bottom: the large characters come first.
	lines = lines[:min(len(lines), height-1)]
	for len(lines) < height-1 {
		lines = append(lines, "")
	}
	lines = append(lines, footer)
	for i, l := range lines {
		lines[i] = strings.TrimRight(cutTo(printable(l), width), " ")
	}
	return lines
}

// explanation is the text under the large characters.
func (s State) explanation(width int) []string {
	var lines []string
	what := kindText(s.Kind)
	if s.Image != "" {
		what += " " + s.Image
	}
	if s.Target != "" {
		what += ", " + s.Target
	}
	switch s.Phase {
	case Starting:
		lines = append(lines, s.Step)
	case Pending:
		lines = append(lines, "Accept this PC in the console, if the code there is the same.")
	case Ready:
		lines = append(lines, "Waiting for an instruction from the console.")
	case Working:
		lines = append(lines, what+": "+stageText(s.Stage), "")
		lines = append(lines, s.progress(width)...)
	case Done:
		text := what + " is done."
		switch {
		case s.Proven > 0 && s.Kind == protocol.UpdateCache:
			text = fmt.Sprintf("%s is done: all %s were read back from the cache and are right.", what, bytesText(s.Proven))
		case s.Proven > 0:
			text = fmt.Sprintf("%s is done: all %s were read back from the disk and are right.", what, bytesText(s.Proven))
		}
		lines = append(lines, wrap(text, width)...)
	case Failed, Cancelled:
		lines = append(lines, wrap(what, width)...)
	}
	if s.Problem != "" {
		if len(lines) > 0 {
			lines = append(lines, "")
		}
		lines = append(lines, wrap(s.Problem, width)...)
	}
	if s.Advice != "" {
		lines = append(lines, wrap("-> "+s.Advice, width)...)
	}
	return lines
}

// progress is the bar and the numbers under it.
func (s State) progress(width int) []string {
	p, ok := s.percent()
	if !ok {
		if s.Bytes == 0 {
			return nil
		}
		return []string{strings.Join(some(bytesText(s.Bytes), s.rateText()), "   ")}
	}
	full := p * width / 100
	return []string{
		strings.Repeat("█", full) + strings.Repeat("░", width-full),
		strings.Join(some(bytesText(s.Bytes)+" of "+bytesText(s.Total), s.rateText(), s.remaining()), "   "),
	}
}

func (s State) rateText() string {
	if s.Rate <= 0 {
		return ""
	}
	return bytesText(s.Rate) + "/s"
}

// some returns the texts that are not empty.
func some(texts ...string) []string {
	var kept []string
	for _, t := range texts {
		if t != "" {
			kept = append(kept, t)
		}
	}
	return kept
}

func prefixed(prefix, text string) string {
	if text == "" {
		return ""
	}
	return prefix + text
}

// spread puts one text at the left end of a line and another at the right.
func spread(left, right string, width int) string {
	gap := width - len([]rune(left)) - len([]rune(right))
	return left + strings.Repeat(" ", max(gap, 1)) + right
}

// wrap breaks text into lines of at most width characters, between words where there are any.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		for len([]rune(word)) > width {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			lines = append(lines, cutTo(word, width))
			word = string([]rune(word)[width:])
		}
		switch {
		case line == "":
			line = word
		case len([]rune(line))+1+len([]rune(word)) <= width:
			line += " " + word
		default:
			lines, line = append(lines, line), word
		}
	}
	return append(lines, line)
}

// printable replaces what would move the cursor or change colours: names come from the network.
func printable(line string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, line)
}
