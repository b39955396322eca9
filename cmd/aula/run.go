package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"aula/clientos/instruction"
	"aula/clientos/protocol"
	"aula/webui/api"
	"aula/webui/client"
)

// runCommand is `aula run`.
type runCommand struct {
	running
	programArg
}

// Help is what is told beside the flags.
func (runCommand) Help() string {
	return `A file holds one instruction in a line; -c takes them with ; between them:

    aula run -c 'deployImage REPO windows11 1 2 MULTICAST' --on "Room 1"
    aula run -c 'partitionDisk 1 GPT EFI:512M:FAT32 NTFS:*:NTFS cache=40G' --on pc-01 --check

'aula instruction words' has them all. What would become of each computer is shown first, and before data is lost you are asked.
The exit status is 0 when every computer is done, 1 when one is not, 2 when something is not right in the words. Ctrl-C ends the
watching, not the operation: 'aula operation cancel' does.`
}

// Run has PCs carry out instructions.
func (c *runCommand) Run(ctx context.Context) error {
	text, program, err := c.read()
	if err != nil {
		return err
	}
	return c.run(ctx, job{text: text, program: program})
}

// A job is what is to be run, and why.
type job struct {
	text    string
	program instruction.Program
	note    string // for people
}

// running is how all commands that have PCs carry out instructions do so: pre-flight, question, beginning, and watching.
type running struct {
	watching
	On    []string      `help:"Where: classrooms and computers, by name or id, with commas between them." placeholder:"ROOM|PC"`
	Late  time.Duration `help:"How long computers that are not connected may still come in; 0: not at all." default:"30m"`
	Check bool          `help:"Only tell what would become of each computer, and do nothing."`
	Yes   bool          `help:"Do not ask before data is lost." short:"y"`
}

// run puts the job to the PCs.
func (r running) run(ctx context.Context, j job) error {
	c, err := r.client()
	if err != nil {
		return err
	}
	s, err := fetchScope(ctx, c)
	if err != nil {
		return r.explain(err)
	}
	in, err := s.find(r.On)
	if err != nil {
		return err
	}
	return r.runIn(ctx, c, in, j)
}

// runIn is run, when it is known where.
func (r running) runIn(ctx context.Context, c *client.Client, in places, j job) error {
	late, err := r.late()
	if err != nil {
		return err
	}
	p := api.Program{Text: j.text, Note: j.note, Late: late}
	p.ComputerIDs, p.ClassroomIDs = in.ids()
	found, err := c.CheckProgram(ctx, p)
	if err != nil {
		return r.explain(err)
	}
	v := outlook{found: found, writes: writes(j.program), late: late > 0}
	if r.Check {
		return r.checked(v)
	}
	if !r.JSON {
		if err := v.print(); err != nil {
			return err
		}
	}
	if len(v.able()) == 0 {
		return errors.New("nothing is begun: none of the computers can carry it out")
	}
	if err := r.consent(ctx, v); err != nil {
		return err
	}
	// Those that were shown, and no PC that has come into the classroom since.
	p.ClassroomIDs, p.ComputerIDs = nil, v.ids()
	op, err := c.Run(ctx, p)
	if err != nil {
		return r.explain(err)
	}
	return r.watch(ctx, c, op)
}

// maxLate is the longest that the appliance waits for PCs.
const maxLate = 7 * 24 * time.Hour

// late is as the API has it.
func (r running) late() (int, error) {
	switch {
	case r.Late < 0 || r.Late > maxLate:
		return 0, exitError{fmt.Errorf("--late %v: it is from 0 to %v", r.Late, maxLate), exitNoFile}
	case r.Late < time.Second:
		return -1, nil
	}
	return int(r.Late / time.Second), nil
}

// checked prints what was found out, and is an error when some PC cannot.
func (r running) checked(v outlook) error {
	var err error
	if r.JSON {
		err = printJSON(v.found)
	} else {
		err = v.print()
	}
	if n := len(v.found) - len(v.able()); err == nil && n > 0 {
		err = fmt.Errorf("%d of %s cannot carry it out", n, computers(len(v.found)))
	}
	return err
}

// consent asks whether data may be lost.
func (r running) consent(ctx context.Context, v outlook) error {
	question := v.question()
	switch {
	case question == "" || r.Yes:
		return nil
	case !isTerminal(os.Stdin) || !isTerminal(os.Stderr) || !inForeground(os.Stdin):
		return fmt.Errorf("nothing is begun: %s, and there is no terminal to ask (--yes says that it may be)", question)
	}
	fmt.Fprintf(os.Stderr, "%s. Go on? [y/N] ", capital(question))
	answer, err := readAnswer(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr)
		return fmt.Errorf("nothing is begun: %w", err)
	}
	if !slices.Contains([]string{"y", "yes"}, strings.ToLower(answer)) {
		return errors.New("nothing is begun, as you said")
	}
	return nil
}

// readAnswer reads a line from the terminal. It ends with the context, too.
func readAnswer(ctx context.Context) (string, error) {
	// Not os.Stdin itself, from which nobody could stop reading.
	terminal, err := os.OpenFile("/dev/tty", os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return "", err
	}
	defer terminal.Close()
	defer context.AfterFunc(ctx, func() { terminal.Close() })()
	line, err := bufio.NewReader(terminal).ReadString('\n')
	if ctx.Err() != nil {
		return "", errors.New("interrupted")
	}
	if err != nil && line == "" {
		return "", fmt.Errorf("no answer: %w", err)
	}
	return strings.TrimSpace(line), nil
}

// overwriting are the words that may write over what is on a disk.
var overwriting = []string{
	instruction.RestoreImage, instruction.RestoreDiskImage, instruction.DeployImage, instruction.DeployDiskImage,
	instruction.PartitionDisk, instruction.FormatPartition, instruction.InitCache,
}

func writes(p instruction.Program) bool {
	return slices.ContainsFunc(p.Statements, func(s instruction.Statement) bool { return slices.Contains(overwriting, s.Word) })
}

// An outlook is what the pre-flight found out.
type outlook struct {
	found  []api.Preflight
	writes bool // the program writes on disks
	late   bool // PCs that are not connected may come in
}

func (v outlook) ids() []string {
	ids := make([]string, len(v.found))
	for i, p := range v.found {
		ids[i] = p.ComputerID
	}
	return ids
}

// able are the PCs that can carry it out, or may when they come.
func (v outlook) able() []api.Preflight {
	return slices.DeleteFunc(slices.Clone(v.found), func(p api.Preflight) bool { return p.Failure != nil && !v.comes(p) })
}

// comes tells whether a PC is waited for, and judged anew when it comes.
func (v outlook) comes(p api.Preflight) bool { return !p.Online && v.late }

// question says what will be lost; it is empty when nothing will.
func (v outlook) question() string {
	lose, come := 0, 0
	for _, p := range v.able() {
		switch {
		case p.Failure == nil && len(p.Loses) > 0:
			lose++
		case v.comes(p) && v.writes:
			come++
		}
	}
	switch {
	case lose == 0 && come == 0:
		return ""
	case come == 0:
		return fmt.Sprintf("data on %s will be lost", computers(lose))
	case lose == 0:
		return fmt.Sprintf("data on %s may be lost when they come", computers(come))
	}
	return fmt.Sprintf("data on %s will be lost, and may be on %s more when they come", computers(lose), computers(come))
}

// print prints the pre-flight: a line for each PC, and below them the reasons and what to know.
func (v outlook) print() error {
	w := newTable("COMPUTER", "ONLINE", "DISK", "BY", "LOSES")
	why, notes := grouped{}, grouped{}
	for _, p := range v.found {
		online := "yes"
		if !p.Online {
			online = "no"
		}
		switch {
		case p.Failure != nil && v.comes(p):
			w.row(p.Name, online, p.Disk, p.Way, "is asked when it comes")
			notes.add(p.Name, "as it was last seen: "+reason(p.Failure.Code, "", p.Failure.Error()))
		case p.Failure != nil:
			w.row(p.Name, online, p.Disk, p.Way, "nothing: it cannot")
			why.add(p.Name, reason(p.Failure.Code, "", p.Failure.Error()))
		default:
			w.row(p.Name, online, p.Disk, p.Way, cmp.Or(strings.Join(p.Loses, "; "), "nothing"))
		}
		for _, note := range p.Notes {
			notes.add(p.Name, note)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, line := range append(why.lines("cannot: "), notes.lines("note: ")...) {
		fmt.Println(line)
	}
	return nil
}

// grouped are texts, in their order, with the names of those that they are about.
type grouped struct {
	texts []string
	names map[string][]string
}

func (g *grouped) add(name, text string) {
	if g.names == nil {
		g.names = map[string][]string{}
	}
	if _, known := g.names[text]; !known {
		g.texts = append(g.texts, text)
	}
	if !slices.Contains(g.names[text], name) {
		g.names[text] = append(g.names[text], name)
	}
}

// lines are "pc-01, pc-02: WHAT TEXT".
func (g *grouped) lines(what string) []string {
	lines := make([]string, len(g.texts))
	for i, text := range g.texts {
		lines[i] = fmt.Sprintf("%s: %s%s", strings.Join(g.names[text], ", "), what, text)
	}
	return lines
}

// reason is a failure in a line: OpenGnsys' number, the stage, what happened and what to do.
func reason(code int, stage, text string) string {
	switch stage {
	case "":
	case protocol.StagePreflight:
		stage = " before it began"
	default:
		stage = " while " + stage
	}
	return fmt.Sprintf("error %d%s: %s", code, stage, strings.ReplaceAll(text, "\n", "; "))
}

func computers(n int) string {
	if n == 1 {
		return "1 computer"
	}
	return fmt.Sprintf("%d computers", n)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
