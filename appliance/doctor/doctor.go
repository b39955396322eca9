// Package doctor tests a machine on which the appliance runs or is going to run: its network card, ports, clock, disk and boot files, and what else
// keeps PCs from booting; and it says what to do about what it finds.
//
// It changes nothing: what it tries (a question to DHCP servers, a datagram to a group, a file that is written and removed) leaves no trace. It works while the
// appliance runs and while it does not.
//
// Each test has two halves: one asks the machine for facts, the other judges them and touches nothing.
package doctor

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"aula/appliance"
)

// A Verdict is what a test ends with.
type Verdict string

// Verdicts.
const (
	OK      Verdict = "ok"
	Warning Verdict = "warning" // it works, but something should be looked at
	Problem Verdict = "problem" // PCs do not boot, or work is lost
)

// A Result is what one test found.
type Result struct {
	Test    string  `json:"test"`
	Verdict Verdict `json:"verdict"`
	Found   string  `json:"found"`
	Do      string  `json:"do,omitempty"` // what to do about it
}

// Options say what to test.
type Options struct {
	Config appliance.Config
	// Server asks the appliance that runs on this machine; an error says that none runs.
	Server func(context.Context) (Server, error)
}

// limit is how long all tests take at most. The slowest waits 3 s for DHCP servers.
const limit = 9 * time.Second

// A machine is what several tests work on.
type machine struct {
	cfg     appliance.Config
	nic     *net.Interface // nil: there is none to serve
	address netip.Prefix   // zero without
	running string         // version of the appliance that runs; empty without
	role    string         // of that appliance, as in Server
}

// Run makes all tests, at the same time, and returns their results in the order in which a person reads them.
func Run(ctx context.Context, o Options) []Result {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	m := &machine{cfg: o.Config}
	server := m.ask(ctx, o.Server)
	card := m.chooseCard(ctx)
	tests := []func(context.Context, *machine) []Result{
		testPorts, testServers, testMulticast, testFirewall, testRights, testClock, testDisks, testBootFiles, testCertificate,
	}
	results := make([][]Result, len(tests))
	var all sync.WaitGroup
	for i, test := range tests {
		all.Go(func() { results[i] = test(ctx, m) })
	}
	all.Wait()
	flat := append(server, card)
	for _, r := range results {
		flat = append(flat, r...)
	}
	return flat
}

// Worst is the worst verdict of all.
func Worst(results []Result) Verdict {
	worst := OK
	for _, r := range results {
		if r.Verdict == Problem || worst == OK {
			worst = r.Verdict
		}
		if worst == Problem {
			break
		}
	}
	return worst
}

// width is where lines are broken, in characters.
const width = 100

// Print writes the results for people.
func Print(w io.Writer, results []Result) error {
	column := 0
	for _, r := range results {
		column = max(column, utf8.RuneCountInString(r.Test))
	}
	var b strings.Builder
	count := make(map[Verdict]int)
	for _, r := range results {
		count[r.Verdict]++
		mark := map[Verdict]string{OK: "ok", Warning: "WARNING", Problem: "PROBLEM"}[r.Verdict]
		indent := strings.Repeat(" ", 2+7+2+column+2)
		fmt.Fprintf(&b, "  %-7s  %-*s  %s\n", mark, column, r.Test, fold(r.Found, indent))
		if r.Do != "" {
			fmt.Fprintf(&b, "%s> %s\n", indent, fold(r.Do, indent+"  "))
		}
	}
	b.WriteString("\n" + summary(count[Problem], count[Warning]) + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func summary(problems, warnings int) string {
	switch {
	case problems == 0 && warnings == 0:
		return "Everything is as it should be."
	case problems == 0:
		return fmt.Sprintf("Nothing keeps PCs from booting. Please look at what has a warning (%d).", warnings)
	default:
		return fmt.Sprintf("There are problems (%d) and warnings (%d). Do what is written behind >, from the top, and run this again.", problems, warnings)
	}
}

// fold breaks a text into lines, all but the first of which begin with the indent.
func fold(text, indent string) string {
	var b strings.Builder
	column := len(indent)
	for i, word := range strings.Fields(text) {
		switch length := utf8.RuneCountInString(word); {
		case i == 0:
			column += length
		case column+1+length > width:
			b.WriteString("\n" + indent)
			column = len(indent) + length
		default:
			b.WriteString(" ")
			column += 1 + length
		}
		b.WriteString(word)
	}
	return b.String()
}
