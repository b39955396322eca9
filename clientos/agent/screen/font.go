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

// big draws text in large characters of blocks: at the given scale, where a dot is 2*scale columns wide and scale rows high, or
// at the largest below it that fits into width columns, or with dots of one column, or, when even that is too wide, the text as it is.
func big(text string, width, scale int) []string {
	for ; scale > 0; scale-- {
		if rows := draw(text, 2*scale, scale); len([]rune(rows[0])) <= width {
			return rows
		}
	}
	if rows := draw(text, 1, 1); len([]rune(rows[0])) <= width {
		return rows
	}
	return []string{cutTo(text, width)}
}

// draw draws text with dots of the given size.
func draw(text string, dotWidth, dotHeight int) []string {
	const block = "█" // in the font of every Linux console
	rows := make([]strings.Builder, glyphRows)
	for i, r := range strings.ToUpper(text) {
		glyph, ok := glyphs[r]
		if !ok {
			glyph = glyphs['?']
		}
		for y := range rows {
			if i > 0 {
				rows[y].WriteString(strings.Repeat(" ", glyphGap*dotWidth))
			}
			for _, c := range glyph[y] {
				mark := " "
				if c == '#' {
					mark = block
				}
				rows[y].WriteString(strings.Repeat(mark, dotWidth))
			}
		}
	}
	var lines []string
	for y := range rows {
		for range dotHeight {
			lines = append(lines, rows[y].String())
		}
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
