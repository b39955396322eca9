package rig

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
)

// A Table is printed when a benchmark is over, with the rows that were measured.
type Table struct {
	Title string
	Head  []string
	rows  [][]string
}

// Add adds a row.
func (t *Table) Add(cells ...string) { t.rows = append(t.rows, cells) }

// Print prints it, unless it has no rows.
func (t *Table) Print() {
	if len(t.rows) == 0 {
		return
	}
	fmt.Printf("\n%s\n", t.Title)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range append([][]string{t.Head}, t.rows...) {
		fmt.Fprintln(w, strings.Join(row, "\t")+"\t")
	}
	_ = w.Flush()
	fmt.Println()
}
