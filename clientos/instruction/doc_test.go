package instruction

import (
	"os"
	"strings"
	"testing"
)

// What docs/instructions.md shows is what Parse takes.
func TestExamplesOfTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/instructions.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```")
	if len(blocks) < 9 {
		t.Fatalf("%d parts, so that not all examples are seen", len(blocks))
	}
	for i := 1; i < len(blocks); i += 2 {
		for _, one := range strings.Split(strings.TrimSpace(blocks[i]), "\n\n") {
			if _, err := Parse(one); err != nil {
				t.Errorf("%s\n%v", one, err)
			}
		}
	}
	for _, h := range Words() {
		if !strings.Contains(string(text), "`"+h.Word) {
			t.Errorf("%s is not in the document", h.Word)
		}
	}
}
