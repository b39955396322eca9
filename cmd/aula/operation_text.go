package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"aula/clientos/disk"
	"aula/webui/api"
)

// How operations are written for people.

// whatOf is what an operation is about, in a few words.
func whatOf(op api.Operation) string {
	what := op.Kind
	if op.Image != "" {
		what += " " + op.Image
	}
	if op.Revision > 0 {
		what += fmt.Sprintf(" revision %d", op.Revision)
	}
	return what
}

// whereOf is where it runs: the PC, or how many there are.
func whereOf(op api.Operation) string {
	if len(op.Targets) == 1 {
		return op.Targets[0].Name
	}
	return computers(len(op.Targets))
}

// stateOf is the state of a PC's part, the stage while it runs.
func stateOf(t api.Target) string {
	switch {
	case t.State == "running" && t.Stage == "waiting":
		return "waiting for the session"
	case t.State == "running" && t.Stage != "":
		return t.Stage
	case t.State == "done" && len(t.Warnings) > 0:
		return "done with warnings"
	}
	return t.State
}

// stepOf is at which instruction it is: 2/3 deployImage. Of a PC that is done there is none.
func stepOf(t api.Target) string {
	if t.Steps == 0 || t.State == "done" {
		return ""
	}
	word, _, _ := strings.Cut(t.Statement, " ")
	return strings.TrimSpace(fmt.Sprintf("%d/%d %s", t.Step+1, t.Steps, word))
}

func speedOf(t api.Target) string {
	if t.State != "running" || t.Rate <= 0 {
		return ""
	}
	return disk.FormatSize(t.Rate) + "/s"
}

// remarksOf are what there is to say of a PC beside its figures.
func remarksOf(t api.Target) string {
	var all []string
	if t.State == "running" && t.Slow != "" {
		all = append(all, "slowed by "+t.Slow)
	}
	if t.Failure != nil && t.State != "done" {
		all = append(all, reason(t.Failure.Code, t.Failure.Stage, t.Failure.Problem))
	}
	return strings.Join(append(all, t.Notes...), "; ")
}

// targetTable is a line for each PC, with remarks or without.
func targetTable(targets []api.Target, remarks bool) string {
	var b strings.Builder
	w := table{tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)}
	head := []any{"COMPUTER", "STATE", "PROGRESS", "RATE", "LEFT", "INSTRUCTION"}
	if remarks {
		head = append(head, "REMARKS")
	}
	w.row(head...)
	for _, t := range targets {
		cells := []any{t.Name, stateOf(t), percentText(t), speedOf(t), strings.TrimSuffix(leftOf(t), " left"), stepOf(t)}
		if remarks {
			cells = append(cells, remarksOf(t))
		}
		w.row(cells...)
	}
	w.Flush() // into memory
	return b.String()
}

// printTargets prints how it stands on each PC, below that the reasons, and the sum of it.
func printTargets(op api.Operation) error {
	if op.Over() {
		printEnded(op.Targets)
	} else {
		fmt.Print(targetTable(op.Targets, false))
	}
	for _, line := range remarks(op) {
		fmt.Println(line)
	}
	_, err := fmt.Println(progressOf(op))
	return err
}

// printEnded is the table of what came of it.
func printEnded(targets []api.Target) {
	w := newTable("COMPUTER", "STATE", "AT", "VERIFIED", "TOOK")
	for _, t := range targets {
		verified, took := "", ""
		if t.Verified > 0 {
			verified = disk.FormatSize(t.Verified)
		}
		if !t.Started.IsZero() && !t.Ended.IsZero() {
			took = t.Ended.Sub(t.Started).Round(time.Second).String()
		}
		w.row(t.Name, stateOf(t), stepOf(t), verified, took)
	}
	w.Flush()
}

// remarks are lines about the PCs of which there is something to say: those of the same text together.
func remarks(op api.Operation) []string {
	var failed, half, warned, notes grouped
	var scripts []string
	for _, t := range op.Targets {
		if t.Failure != nil && t.State != "done" {
			failed.add(t.Name, reason(t.Failure.Code, t.Failure.Stage, t.Failure.Error()))
		}
		if t.Dirty && op.Over() && t.State != "done" {
			half.add(t.Name, "the disk was written to, and what is on it is not whole")
		}
		for _, f := range t.Warnings {
			warned.add(t.Name, reason(f.Code, f.Stage, f.Error()))
		}
		for _, note := range t.Notes {
			notes.add(t.Name, note)
		}
		for _, s := range t.Scripts {
			if output := strings.TrimRight(s.Output, "\n"); s.Exit != 0 || output != "" {
				scripts = append(scripts, strings.TrimRight(fmt.Sprintf("%s: script %s, exit status %d\n%s", t.Name, s.Name, s.Exit, indent(output)), "\n"))
			}
		}
	}
	return slices.Concat(failed.lines(""), half.lines(""), warned.lines("warning: "), notes.lines("note: "), scripts)
}

// indent sets a text in from the edge, without what would do something to a terminal.
func indent(text string) string {
	if text == "" {
		return ""
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = "    " + plain([]rune(line))
	}
	return strings.Join(lines, "\n")
}

// printOperation prints all that is known of an operation.
func printOperation(op api.Operation) error {
	fmt.Printf("operation %s: %s, %s\n", op.ID, whatOf(op), op.State)
	fmt.Printf("    by %s, %s", op.Actor, op.Created.Local().Format(time.DateTime))
	if op.Over() {
		fmt.Printf(" to %s", op.Ended.Local().Format(time.DateTime))
	}
	if op.Note != "" {
		fmt.Print(", ", op.Note)
	}
	fmt.Println()
	if op.Text != "" {
		fmt.Println(indent(strings.TrimRight(op.Text, "\n")))
	}
	return printTargets(op)
}

// listOperations prints a line for each.
func listOperations(all []api.Operation) error {
	if len(all) == 0 {
		fmt.Println("nothing was asked of any computer yet: 'aula run --help' and 'aula deploy --help' tell how")
		return nil
	}
	w := newTable("ID", "STATE", "WHAT", "ON", "BY", "CREATED", "HOW")
	for _, op := range all {
		w.row(op.ID, op.State, whatOf(op), whereOf(op), op.Actor, op.Created.Local().Format(time.DateTime), op.Summary)
	}
	return w.Flush()
}
