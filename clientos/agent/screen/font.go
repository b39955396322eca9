package screen

import "strings"

const (
	glyphRows = 5
	glyphGap  = 1
)

// glyphs are the large characters, five rows each; their width is that of their rows. Lower case letters are shown in upper case.
var glyphs = map[rune][glyphRows]string{
	' ': {"   ", "   ", "   ", "   ", "   "},
	'0': {" ### ", "#  ##", "# # #", "##  #", " ### "},
	'1': {" # ", "## ", " # ", " # ", "###"},
	'2': {"#### ", "    #", " ### ", "#    ", "#####"},
	'3': {"#### ", "    #", " ### ", "    #", "#### "},
	'4': {"#   #", "#   #", "#####", "    #", "    #"},
	'5': {"#####", "#    ", "#### ", "    #", "#### "},
	'6': {" ### ", "#    ", "#### ", "#   #", " ### "},
	'7': {"#####", "    #", "   # ", "  #  ", "  #  "},
	'8': {" ### ", "#   #", " ### ", "#   #", " ### "},
	'9': {" ### ", "#   #", " ####", "    #", " ### "},
	'A': {" ### ", "#   #", "#####", "#   #", "#   #"},
	'B': {"#### ", "#   #", "#### ", "#   #", "#### "},
	'C': {" ####", "#    ", "#    ", "#    ", " ####"},
	'D': {"#### ", "#   #", "#   #", "#   #", "#### "},
	'E': {"#####", "#    ", "###  ", "#    ", "#####"},
	'F': {"#####", "#    ", "###  ", "#    ", "#    "},
	'G': {" ####", "#    ", "#  ##", "#   #", " ####"},
	'H': {"#   #", "#   #", "#####", "#   #", "#   #"},
	'I': {"###", " # ", " # ", " # ", "###"},
	'J': {"  ###", "    #", "    #", "#   #", " ### "},
	'K': {"#   #", "#  # ", "###  ", "#  # ", "#   #"},
	'L': {"#    ", "#    ", "#    ", "#    ", "#####"},
	'M': {"#   #", "## ##", "# # #", "#   #", "#   #"},
	'N': {"#   #", "##  #", "# # #", "#  ##", "#   #"},
	'O': {" ### ", "#   #", "#   #", "#   #", " ### "},
	'P': {"#### ", "#   #", "#### ", "#    ", "#    "},
	'Q': {" ### ", "#   #", "# # #", "#  # ", " ## #"},
	'R': {"#### ", "#   #", "#### ", "#  # ", "#   #"},
	'S': {" ####", "#    ", " ### ", "    #", "#### "},
	'T': {"#####", "  #  ", "  #  ", "  #  ", "  #  "},
	'U': {"#   #", "#   #", "#   #", "#   #", " ### "},
	'V': {"#   #", "#   #", "#   #", " # # ", "  #  "},
	'W': {"#   #", "#   #", "# # #", "## ##", "#   #"},
	'X': {"#   #", " # # ", "  #  ", " # # ", "#   #"},
	'Y': {"#   #", " # # ", "  #  ", "  #  ", "  #  "},
	'Z': {"#####", "   # ", "  #  ", " #   ", "#####"},
	'-': {"   ", "   ", "###", "   ", "   "},
	'_': {"    ", "    ", "    ", "    ", "####"},
	'.': {" ", " ", " ", " ", "#"},
	'/': {"    #", "   # ", "  #  ", " #   ", "#    "},
	'%': {"#   #", "   # ", "  #  ", " #   ", "#   #"},
	'?': {"#### ", "    #", "  ## ", "     ", "  #  "},
}

// big draws text in large characters of blocks, as wide as fits into width columns: each dot two columns, or one, or, when
// even that is too wide, the text as it is.
func big(text string, width int) []string {
	for _, dot := range []int{2, 1} {
		if rows := draw(text, dot); len([]rune(rows[0])) <= width {
			return rows
		}
	}
	return []string{cutTo(text, width)}
}

func draw(text string, dot int) []string {
	rows := make([]strings.Builder, glyphRows)
	for i, r := range strings.ToUpper(text) {
		glyph, ok := glyphs[r]
		if !ok {
			glyph = glyphs['?']
		}
		for y := range rows {
			if i > 0 {
				rows[y].WriteString(strings.Repeat(" ", glyphGap*dot))
			}
			for _, c := range glyph[y] {
				mark := " "
				if c == '#' {
					mark = "█" // in the font of every Linux console
				}
				rows[y].WriteString(strings.Repeat(mark, dot))
			}
		}
	}
	lines := make([]string, glyphRows)
	for y := range rows {
		lines[y] = rows[y].String()
	}
	return lines
}

func cutTo(text string, width int) string {
	r := []rune(text)
	if len(r) <= width {
		return text
	}
	return string(r[:max(width, 0)])
}
