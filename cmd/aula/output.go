package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
)

func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// tell prints v as JSON, or a line for people.
func (j jsonFlag) tell(v any, format string, args ...any) error {
	if j.JSON {
		return printJSON(v)
	}
	_, err := fmt.Printf(format+"\n", args...)
	return err
}

// A table prints columns.
type table struct{ *tabwriter.Writer }

func newTable(head ...string) table {
	t := table{tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)}
	fmt.Fprintln(t, strings.Join(head, "\t"))
	return t
}

// row adds a row; an empty cell is a dash.
func (t table) row(cells ...any) {
	words := make([]string, len(cells))
	for i, c := range cells {
		if words[i] = fmt.Sprint(c); words[i] == "" {
			words[i] = "-"
		}
	}
	fmt.Fprintln(t, strings.Join(words, "\t"))
}

// warn tells people on the terminal what they should know.
func warn(texts ...string) {
	for _, text := range texts {
		fmt.Fprintln(os.Stderr, "aula: note:", text)
	}
}

// number writes a number that is 0 when there is none.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
