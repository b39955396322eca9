package screen

import (
	"fmt"
	"strings"
)

// Line returns one line of text that tells a State, for serial consoles and logs. It begins with "aula-agent: " and the Phase, which
// programs may rely on, and then the instruction's kind and image, if there are any; numbers that change all the time are not in it.
func Line(s State) string {
	words := []string{"aula-agent:", string(s.Phase)}
	field := func(name, value string) {
		if value != "" {
			words = append(words, name+"="+quoted(value))
		}
	}
	switch s.Phase {
	case Working, Done, Failed, Cancelled, Restarting:
		words = append(words, some(s.Kind, s.Image)...)
	}
	switch {
	case s.Phase == Working:
		field("stage", s.Stage)
	case s.Phase == Done && s.Proven > 0:
		field("verified", fmt.Sprint(s.Proven))
	case s.Phase == Pending:
		field("code", s.Code)
	case s.Phase == Starting:
		field("step", s.Step)
	}
	field("pc", s.Computer)
	field("classroom", s.Classroom)
	field("problem", s.Problem)
	field("advice", s.Advice)
	field("server", s.Server)
	return printable(strings.Join(words, " "))
}

func quoted(s string) string {
	if strings.ContainsAny(s, " \"=") {
		return fmt.Sprintf("%q", s)
	}
	return s
}
